//! Answers as a client of each protocol reads them.

use serde_json::{Value, json};

/// The text, the calls, the input, cached and output tokens of an answer, in whichever protocol.
pub(crate) fn gist(inbound: &str, answer: &Value) -> (String, Vec<(String, Value)>, [u64; 3], String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parse = |value: &Value| serde_json::from_str(value.as_str().unwrap()).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let usage = &answer["usage"];
    let count = |value: &Value| value.as_u64().unwrap();
    match inbound {
        "chat/completions" => {
            let message = &answer["choices"][0]["message"];
            let calls = list(&message["tool_calls"])
                .iter()
                .map(|call| (text(&call["function"]["name"]), parse(&call["function"]["arguments"])))
                .collect();
            let tokens = [
                &usage["prompt_tokens"],
                &usage["prompt_tokens_details"]["cached_tokens"],
                &usage["completion_tokens"],
            ]
            .map(count);
            (text(&message["content"]), calls, tokens, text(&answer["choices"][0]["finish_reason"]))
        }
        "responses" => {
            let of = |kind: &str| {
                list(&answer["output"]).into_iter().filter(|item| item["type"] == kind).collect::<Vec<_>>()
            };
            let said = of("message").iter().map(|item| text(&item["content"][0]["text"])).collect();
            let calls =
                of("function_call").iter().map(|call| (text(&call["name"]), parse(&call["arguments"]))).collect();
            let tokens =
                [&usage["input_tokens"], &usage["input_tokens_details"]["cached_tokens"], &usage["output_tokens"]]
                    .map(count);
            (said, calls, tokens, text(&answer["status"]))
        }
        _ => {
            let of = |kind: &str| {
                list(&answer["content"]).into_iter().filter(|block| block["type"] == kind).collect::<Vec<_>>()
            };
            let said = of("text").iter().map(|block| text(&block["text"])).collect();
            let calls = of("tool_use").iter().map(|call| (text(&call["name"]), call["input"].clone())).collect();
            let [fresh, cached, output] =
                [&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]].map(count);
            (said, calls, [fresh + cached, cached, output], text(&answer["stop_reason"]))
        }
    }
}

/// A streamed answer put together as a client does it.
pub(crate) fn assembled(inbound: &str, stream: &str) -> Value {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let events: Vec<Value> = lines.map(|data| serde_json::from_str(data).unwrap()).collect();
    let append = |to: &mut Value, more: &Value| {
        let so_far = to.as_str().unwrap_or_default();
        *to = json!(format!("{so_far}{}", more.as_str().unwrap_or_default()));
    };
    match inbound {
        "chat/completions" => {
            assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
            let mut message = json!({ "content": "", "tool_calls": [] });
            let mut answer = json!({});
            for event in &events {
                answer["id"] = event["id"].clone();
                if event["usage"].is_object() {
                    answer["usage"] = event["usage"].clone();
                }
                let Some(choice) = event["choices"].get(0) else { continue };
                append(&mut message["content"], &choice["delta"]["content"]);
                for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                    let calls = message["tool_calls"].as_array_mut().unwrap();
                    if call["id"].is_string() {
                        calls.push(call.clone());
                    } else {
                        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                        append(&mut calls[index]["function"]["arguments"], &call["function"]["arguments"]);
                    }
                }
                if choice["finish_reason"].is_string() {
                    answer["choices"] = json!([{ "finish_reason": choice["finish_reason"] }]);
                }
            }
            answer["choices"][0]["message"] = message;
            answer
        }
        "responses" => {
            let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
            let last = events.last().unwrap();
            assert_eq!(last["type"], "response.completed", "{stream}");
            let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
            let text: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
            assert_eq!(gist("responses", &last["response"]).0, text);
            last["response"].clone()
        }
        _ => {
            assert_eq!(events.last().unwrap()["type"], "message_stop", "{stream}");
            let mut answer = events[0]["message"].clone();
            let mut inputs = Vec::new();
            for event in &events {
                match event["type"].as_str().unwrap() {
                    "content_block_start" => {
                        answer["content"].as_array_mut().unwrap().push(event["content_block"].clone());
                        inputs.push(String::new());
                    }
                    "content_block_delta" => {
                        let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                        let delta = &event["delta"];
                        append(&mut answer["content"][index]["text"], &delta["text"]);
                        inputs[index].push_str(delta["partial_json"].as_str().unwrap_or_default());
                    }
                    "message_delta" => {
                        answer["stop_reason"] = event["delta"]["stop_reason"].clone();
                        for (name, value) in event["usage"].as_object().unwrap() {
                            answer["usage"][name] = value.clone();
                        }
                    }
                    _ => {}
                }
            }
            for (block, input) in answer["content"].as_array_mut().unwrap().iter_mut().zip(inputs) {
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            answer
        }
    }
}
