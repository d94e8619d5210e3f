//! The token estimate against the real o200k vocabulary.

use slarouter_text::estimate_tokens;

/// Kinds of text, with the largest relative error allowed.
const TEXTS: [(&str, f64, &str); 10] = [
    (
        "english",
        0.05,
        "The gateway keeps an account of every answer that it passes on, and of what it cost. When a user presses the button below an answer, the rating is written to disk before anything else happens, because a promise that is kept only in memory is none. Most answers are never rated; those that are tell us a little about the model, a little about the prompt, and rather a lot about the person who was annoyed enough to click.",
    ),
    (
        "code",
        0.05,
        "pub fn observe(&mut self, feedback: &Feedback, now: Timestamp) -> Result<Receipt, ObserveError> {\n    if !feedback.features.is_empty() {\n        check_features(feedback.features, self.router.dim)?;\n    }\n    let (receipt, change) = self.ledger.apply(feedback, now);\n    for (i, value) in values.iter().enumerate() {\n        total += value * weights[i];\n    }\n    Ok(receipt)\n}\n",
    ),
    (
        "python",
        0.05,
        "def train(model, batches, rate=0.01):\n    losses = []\n    for step, (inputs, targets) in enumerate(batches):\n        outputs = model(inputs)\n        loss = ((outputs - targets) ** 2).mean()\n        losses.append(float(loss))\n        if step % 100 == 0:\n            print(f\"step {step}: loss {loss:.4f}\")\n    return losses\n",
    ),
    (
        "json",
        0.05,
        "{\"id\": \"chatcmpl-12345\", \"object\": \"chat.completion\", \"created\": 1700000000, \"model\": \"small\", \"choices\": [{\"index\": 0, \"message\": {\"role\": \"assistant\", \"content\": \"Hello there\"}, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 12, \"completion_tokens\": 34, \"total_tokens\": 46}}",
    ),
    (
        "mathematics",
        0.05,
        "Let f(x) = x^2 + 3x - 7. Find all real x such that f(f(x)) = f(x) + 12. Then show that \\frac{a+b}{2} \\ge \\sqrt{ab} for all a, b > 0, and compute the sum 1 + 2 + 3 + ... + 100 = 5050. If 17 * 23 = 391 and 391 / 17 = 23, what is 391 mod 19?",
    ),
    (
        "german",
        0.05,
        "Der Betreiber schreibt eine einzige Zahl auf, den Anteil der Antworten, mit denen die Nutzer zufrieden sein müssen, und das Gateway schickt jede Anfrage an das günstigste Modell, das diese Zusage hält. Gelernt wird nur aus den wenigen Rückmeldungen, die im Betrieb wirklich ankommen, oft erst Stunden später und nicht immer ehrlich.",
    ),
    (
        "russian",
        0.05,
        "Оператор задаёт одно число: долю ответов, которыми пользователи должны быть довольны. Шлюз отправляет каждый запрос самой дешёвой модели, которая выполняет это обещание, и учится только на редких оценках, которые приходят в реальной работе, часто с опозданием на несколько часов.",
    ),
    (
        "chinese",
        0.05,
        "运营者只需写下一个数字，即必须让用户满意的回答所占的比例。网关把每个请求发送给能够保证这一比例的最便宜的模型，并且只从生产环境中真正存在的少量反馈中学习：只有百分之几的回答会得到评价，而且往往来得很晚。",
    ),
    (
        "digits",
        0.05,
        "3.14159265358979323846264338327950288419716939937510 2.71828182845904523536 1024 4096 65536 16777216 2026-11-24 08:15:30 192.168.178.254 +49 30 1234567 0.000125 99.95 1,234,567,890 42 7 365 8760",
    ),
    (
        "white space",
        0.05,
        "name            price        stock\n\n\n    apples            3           120\n    pears             4            80\n\n\t\ttotal\t\t\t200\n\n\n\n        end of table        \n    \n\n",
    ),
];

#[test]
fn estimates_are_within_their_bounds() {
    let vocabulary = tiktoken_rs::o200k_base().unwrap();
    let mut wrong = Vec::new();
    for (kind, bound, text) in TEXTS {
        let exact = vocabulary.encode_ordinary(text).len() as f64;
        let error = f64::from(estimate_tokens(text)) / exact - 1.0;
        println!("{kind:12} exact {exact:4} estimate {:4} error {:+.1} %", estimate_tokens(text), error * 100.0);
        if error.abs() > bound {
            wrong.push((kind, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
