//! What the reader accepts, and what it says of files that it refuses.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use slarouter_lab::{Dataset, Selection};

const GOOD: &str = "prompt_id,benchmark,prompt,score:a,cost:a,score:b,cost:b\n\
                    1,x,\"What, then?\",0.4,0.001,1,0.004\n\
                    2,x,\"Two\nlines\",0.6,0.003,0,0.004\n";

fn load(bytes: &[u8], selection: &Selection) -> Result<Dataset, String> {
    let file = tempfile::Builder::new().prefix("data-").suffix(".csv").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let name = file.path().display().to_string();
    Dataset::load(file.path(), selection).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix(&name).unwrap_or_else(|| unreachable!("names no file: {text}")).to_owned()
    })
}

fn only(models: &[&str]) -> Selection {
    Selection {
        bar: None,
        models: Some(models.iter().map(|name| (*name).to_owned()).collect()),
        ..Selection::default()
    }
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(load(text.as_bytes(), &Selection::default()).err().as_deref(), Some(message), "for {text:?}");
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn plain_and_gzip_read_alike_whatever_the_name() {
    for bytes in [GOOD.as_bytes().to_vec(), zipped(GOOD)] {
        let data = load(&bytes, &Selection::default()).unwrap();
        assert_eq!((data.rows(), data.models()), (2, 2));
        assert_eq!((data.score(0, 0), data.cost(1, 0), data.score(1, 1)), (0.4, 0.003, 0.0));
        assert_eq!(data.means(0), (0.5, 0.002));
    }
}

#[test]
fn the_bar_makes_scores_binary_and_is_itself_enough() {
    let data = load(GOOD.as_bytes(), &Selection { bar: Some(0.6), ..Selection::default() }).unwrap();
    assert_eq!([data.score(0, 0), data.score(1, 0), data.score(0, 1), data.score(1, 1)], [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn models_come_in_the_order_asked_for() {
    let data = load(GOOD.as_bytes(), &only(&["b", "a"])).unwrap();
    assert_eq!(&*data.zoo.models()[0].name, "b");
    assert_eq!((data.score(0, 0), data.score(0, 1)), (1.0, 0.4));
}

#[test]
fn the_derived_price_gives_the_total_cost_back() {
    let data = load(GOOD.as_bytes(), &Selection::default()).unwrap();
    for model in 0..2 {
        let price = data.zoo.models()[model].price;
        assert_eq!(price.input, price.output);
        let listed: f64 = (0..2).map(|row| price.cost(data.input_tokens(row), 200.0)).sum();
        let charged: f64 = (0..2).map(|row| data.cost(row, model)).sum();
        assert!((listed - charged).abs() < 1e-12, "{listed} against {charged}");
    }
}

#[test]
fn a_free_model_has_no_known_answer_length() {
    let data = load(b"prompt_id,prompt,score:a,cost:a\n1,hi,1,0\n", &Selection::default()).unwrap();
    assert_eq!(data.output_tokens(0, 0), None);
}

#[test]
fn headers() {
    refused("", ": the file is empty: it needs a header line and rows");
    refused("prompt,score:a,cost:a\n", ": the column \"prompt_id\" is missing: add it to the header");
    refused("prompt_id,score:a,cost:a\n", ": the column \"prompt\" is missing: add it to the header");
    refused("prompt_id,prompt,score:a\n", ": the column \"cost:a\" is missing: add it to the header");
    refused("prompt_id,prompt,cost:a\n", ": the column \"score:a\" is missing: add it to the header");
    refused("prompt_id,prompt,score:a,cost:a,score:a\n", ": the column \"score:a\" is there twice: remove one");
    refused("prompt_id,prompt\n", ": there is no model: add columns score:<model> and cost:<model>");
    refused("prompt_id,prompt,score:a,cost:a\n", ": there are no rows below the header");
}

#[test]
fn cells() {
    let row = |cells: &str| format!("prompt_id,prompt,score:a,cost:a\n1,\"hi\nyou\",1,0.1\n2,{cells}\n");
    let cases = [
        ("hi,good,0.1", "score:a", "\"good\" is no finite number: write one, or drop the row"),
        ("hi,,0.1", "score:a", "\"\" is no finite number: write one, or drop the row"),
        ("hi,NaN,0.1", "score:a", "\"NaN\" is no finite number: write one, or drop the row"),
        ("hi,1,inf", "cost:a", "\"inf\" is no finite number: write one, or drop the row"),
        ("hi,1.5,0.1", "score:a", "the score 1.5 is not between 0 and 1: rescale the column"),
        ("hi,1,-0.1", "cost:a", "the cost -0.1 is negative: costs are USD per request"),
    ];
    for (cells, column, what) in cases {
        refused(&row(cells), &format!(", line 4, column {column:?}: {what}"));
    }
    refused(&row("hi,1"), ", line 4: 3 fields where the header has 4: quote fields that hold commas or line breaks");
    refused(
        &row("hi,1,0.1\n1,again,1,0.1"),
        ", line 5, column \"prompt_id\": \"1\" is there twice: remove one of the rows",
    );
}

#[test]
fn models_that_are_not_there() {
    let refused = |models: &[&str]| load(GOOD.as_bytes(), &only(models)).err().unwrap();
    assert_eq!(refused(&["b", "c"]), ": there is no model \"c\"; the file has a, b");
    assert_eq!(refused(&["a", "a"]), ": the model \"a\" is asked for twice");
}

#[test]
fn bytes_that_are_no_text() {
    let text = load(b"prompt_id,prompt,score:a,cost:a\n1,\xff\xfe,1,0.1\n", &Selection::default()).err().unwrap();
    assert!(text.starts_with(", line 2: not UTF-8: ") && text.ends_with("convert the file"), "{text}");
}

#[test]
fn a_gzip_file_cut_short() {
    let rows: String = (3..2_000).map(|id| format!("{id},x,prompt number {id},0.5,0.{id},1,0.2\n")).collect();
    let whole = zipped(&format!("{GOOD}{rows}"));
    assert_eq!(load(&whole, &Selection::default()).unwrap().rows(), 1_999);
    let text = load(&whole[..whole.len() / 2], &Selection::default()).err().unwrap();
    assert!(text.starts_with(", line ") && text.contains("cannot be read to its end, perhaps cut short"), "{text}");
}

#[test]
fn a_file_that_is_not_there() {
    let missing = std::path::Path::new("no/such/file.csv");
    let text = Dataset::load(missing, &Selection::default()).err().unwrap().to_string();
    assert!(text.starts_with("no/such/file.csv: "), "{text}");
}
