use clap::Parser;
use slarouter_gateway::doctor::ListedModel;

use super::super::providers::providers;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: InitArgs,
}

fn args(words: &[&str]) -> InitArgs {
    Line::parse_from([&["init"], words].concat()).args
}

/// OpenAI, whose list is there; Mistral, whose list is not; and a server on this machine, one model of which OpenAI has too.
fn found() -> Vec<Found> {
    let env = |name: &str| ["OPENAI_API_KEY", "MISTRAL_API_KEY"].contains(&name).then(|| "sk".to_owned());
    let provider = |name: &str| providers(&[], &env).into_iter().find(|provider| provider.name == name).unwrap();
    let listed = |ids: &[&str]| Ok(ids.iter().map(|id| ListedModel { id: (*id).to_owned(), price: None }).collect());
    vec![
        Found { provider: provider("openai"), listed: listed(&["gpt-4o", "gpt-4o-mini", "oss"]) },
        Found { provider: provider("mistral"), listed: Err("api.mistral.ai is silent".to_owned()) },
        Found { provider: provider("vllm"), listed: listed(&["oss", "meta/llama"]) },
    ]
}

/// The plan by these flags and answers, or the error; and what was shown.
fn planned(words: &[&str], answers: Option<&str>) -> (Result<Plan, String>, String) {
    let (mut input, mut out) = (answers.unwrap_or_default().as_bytes(), Vec::new());
    let mut talk = Talk { input: &mut input, out: &mut out, asks: answers.is_some() };
    let plan = plan(&args(words), &found(), &mut talk).map_err(|error| error.to_string());
    (plan, String::from_utf8(out).unwrap())
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.models.iter().map(|model| &*model.name).collect()
}

fn usd(input: f64, output: f64) -> Option<Price> {
    Some(Price { input, output })
}

#[test]
fn answers_make_a_plan() {
    let (plan, shown) = planned(&[], Some("2, mistral/large\n2\n0.15,0.6\n2,6\n\n1 week\n"));
    let plan = plan.unwrap();
    assert_eq!((names(&plan), plan.fallback, plan.alpha), (vec!["gpt-4o-mini", "large"], 1, 0.9));
    assert_eq!(plan.window.to_string(), "7 days");
    assert_eq!((plan.models[0].price, plan.models[1].price), (usd(0.15, 0.6), usd(2.0, 6.0)));
    let expected = "\
openai, https://api.openai.com/v1
    1  gpt-4o
    2  gpt-4o-mini
    3  oss
mistral: api.mistral.ai is silent; its models have to be named, as in mistral/MODEL
vllm, http://127.0.0.1:8000/v1
    4  oss
    5  meta/llama
Models to choose from, by number or name, with commas:     1  gpt-4o-mini
    2  large
Which one do you use today? It answers until ratings show that a cheaper one is good enough: \
Price of gpt-4o-mini in USD per million tokens, of requests and of answers [unknown]: \
Price of large in USD per million tokens, of requests and of answers [unknown]: \
Share of answers that must satisfy (α) [0.9]: Over which answers [20000 requests]: ";
    assert_eq!(shown, expected);
}

#[test]
fn what_is_not_taken_is_asked_again_with_what_is() {
    let answers = "9\ngpt\n\noss\nvllm/oss,gpt-4o\nnone\n2\n1\n\n\n1.5\n0.8\n0 requests\n\n";
    let (plan, shown) = planned(&[], Some(answers));
    let plan = plan.unwrap();
    assert_eq!((names(&plan), plan.fallback, plan.alpha), (vec!["oss", "gpt-4o"], 1, 0.8));
    assert_eq!(
        (plan.models[0].price, plan.models[1].price),
        (usd(0.0, 0.0), None),
        "a server of one's own sends no bill"
    );
    for said in [
        "\"9\" is no model that is listed: say openai/MODEL or mistral/MODEL or vllm/MODEL",
        "\"gpt\" is no model that is listed; do you mean openai/gpt-4o or openai/gpt-4o-mini?",
        "\"\" is no model that is listed: say",
        "oss is listed by 2 providers: say openai/oss or vllm/oss",
        "\"none\" is none of the chosen models: say oss or gpt-4o",
        "\"1\" is no price: two numbers",
        "the satisfaction target must lie between 0 and 1, not 1.5",
        "window must be \"run\"",
    ] {
        assert!(shown.contains(said), "{said:?} is not in\n{shown}");
    }
}

#[test]
fn the_end_of_input_is_an_error_at_every_question() {
    let answers = "1,2\n1\n1,1\n2,2\n0.9\nrun\n";
    assert!(planned(&[], Some(answers)).0.is_ok());
    let ends: Vec<usize> = answers.match_indices('\n').map(|(at, _)| at + 1).collect();
    for end in [0].into_iter().chain(ends.into_iter().filter(|end| *end < answers.len())) {
        let (plan, _) = planned(&[], Some(&answers[..end]));
        assert!(plan.unwrap_err().contains("the input has ended"), "{:?}", &answers[..end]);
    }
}

#[test]
fn flags_alone_make_a_plan() {
    let words = ["--model=openai/gpt-4o", "--model=vllm/oss", "--model=openai/gpt-4o", "--fallback=openai/gpt-4o"];
    let more = ["--price=gpt-4o=2.5,10", "--price=vllm/oss=0.1,0.1", "--alpha=0.95", "--window=500 requests"];
    let (plan, shown) = planned(&[&words[..], &more].concat(), None);
    let plan = plan.unwrap();
    assert_eq!((names(&plan), plan.fallback, plan.alpha), (vec!["gpt-4o", "oss"], 0, 0.95));
    assert_eq!((plan.models[0].price, plan.models[1].price), (usd(2.5, 10.0), usd(0.1, 0.1)));
    assert_eq!((plan.window.to_string(), &*shown), ("500 requests".to_owned(), ""));
}

#[test]
fn what_no_flag_says_is_a_default_or_an_error_that_names_the_flag() {
    let two = ["--model=openai/gpt-4o", "--model=vllm/oss"];
    let (one, _) = planned(&["--model=vllm/oss"], None);
    let one = one.unwrap();
    assert_eq!((one.fallback, one.alpha, one.window, one.models[0].price), (0, 0.9, DEFAULT_WINDOW, usd(0.0, 0.0)));
    for (words, said) in [
        (&[][..], "say --model PROVIDER/MODEL, once for each; there are openai, mistral, vllm"),
        (&two, "say --fallback MODEL"),
        (
            &["--model=openai/gpt-4o"],
            "no price is known, and without prices nothing can be saved: say --price gpt-4o=IN,OUT",
        ),
        (&[two[0], two[1], "--fallback=x"], "--fallback: \"x\" is none of the chosen models"),
        (&[two[0], two[1], "--fallback=oss", "--price=x=1,1"], "--price: \"x\" is none of the chosen models"),
        (&["--model=groq/x"], "--model: groq needs GROQ_API_KEY, which is not set"),
        (&["--model=oss"], "--model: oss is listed by 2 providers"),
    ] {
        let error = planned(words, None).0.unwrap_err();
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn the_gateway_takes_a_port_that_is_free() {
    assert_eq!(free(|_| true), "127.0.0.1:8080".parse().unwrap());
    assert_eq!(free(|addr| addr.port() > 8_081), "127.0.0.1:8082".parse().unwrap());
    assert_eq!(free(|_| false), "127.0.0.1:8080".parse().unwrap(), "`serve` says what is wrong");
}

#[test]
fn models_of_one_name_get_the_names_of_their_providers_too() {
    let words = ["--model=openai/oss", "--model=vllm/oss", "--model=vllm/auto", "--fallback=openai/oss"];
    let (plan, shown) = planned(&words, None);
    assert_eq!(names(&plan.unwrap()), ["openai/oss", "vllm/oss", "vllm/auto"]);
    assert!(shown.contains("vllm does not list auto"), "{shown}");
}

#[test]
fn without_any_provider_it_says_where_they_are_looked_for() {
    let mut talk = Talk { input: &mut &b""[..], out: &mut Vec::new(), asks: true };
    let error = plan(&args(&[]), &[], &mut talk).unwrap_err().to_string();
    for said in ["OPENAI_API_KEY", "11434 (ollama)", "--server NAME=URL"] {
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn of_a_long_list_the_rest_is_there_by_name() {
    let mut found = found();
    let ids = (1..=SHOWN + 2).map(|number| ListedModel { id: format!("m{number}"), price: usd(1.0, 2.0) }).collect();
    found[0].listed = Ok(ids);
    let (mut input, mut out) = (&b"m22\n\n\n\n"[..], Vec::new());
    let mut talk = Talk { input: &mut input, out: &mut out, asks: true };
    let plan = plan(&args(&[]), &found[..1], &mut talk).unwrap();
    assert_eq!((names(&plan), plan.models[0].price), (vec!["m22"], usd(1.0, 2.0)), "with the price of the list");
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains(" 20  m20\n       and 2 more, by name\n"), "{shown}");
}
