//! Files of judged answers: both layouts, and every mistake with its place.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use slarouter_core::{ModelSpec, Price, Zoo};
use slarouter_lab::{DataError, Labelled};
use slarouter_text::HashedNgrams;
use tempfile::NamedTempFile;

fn load(content: &[u8]) -> Result<Labelled, DataError> {
    let zoo = Zoo::new(["small", "large"].map(|name| ModelSpec::new(name, Price::default())).to_vec()).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    Labelled::load(file.path(), &zoo, &HashedNgrams)
}

/// Model and score of every example, sorted.
fn scores(labelled: &Labelled) -> Vec<(usize, f64)> {
    let mut scores: Vec<_> = labelled.examples.iter().map(|e| (e.model, e.satisfaction)).collect();
    scores.sort_by(|a, b| a.partial_cmp(b).unwrap());
    scores
}

#[test]
fn both_layouts_say_the_same() {
    let long = b"id,model,prompt,score\n1,small,what?,0\n1,large,what?,1\n2,small,\"why,\nnow?\",0.5\n3,other,who?,1\n";
    let wide = b"prompt,score:large,cost:large,score:small,score:other\nwhat?,1,7,0,1\n\"why,\nnow?\",,,0.5,\n";
    let (from_long, from_wide) = (load(long).unwrap(), load(wide).unwrap());
    assert_eq!(scores(&from_long), [(0, 0.0), (0, 0.5), (1, 1.0)]);
    assert_eq!(scores(&from_wide), scores(&from_long));
    assert_eq!((from_long.prompts, from_long.foreign, from_wide.prompts), (4, 1, 2));
    let half = |labelled: &Labelled| labelled.examples.iter().find(|e| e.satisfaction == 0.5).unwrap().features.clone();
    assert_eq!(half(&from_long), half(&from_wide));

    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(long).unwrap();
    assert_eq!(load(&zipped.finish().unwrap()).unwrap().examples, from_long.examples);
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (content, said) in [
        ("", "the column \"prompt\" is missing"),
        ("model,score\nsmall,1\n", "the column \"prompt\" is missing"),
        ("prompt,score\nx,1\n", "there are no scores"),
        ("prompt,score:other\nx,1\n", "there are no scores"),
        ("prompt,model,score\n", "there is no score of a model of the route"),
        ("prompt,model,score\nx,other,1\n", "there is no score of a model of the route"),
        ("prompt,model,score\nx,small,good\n", "line 2, column \"score\": \"good\" is no number from 0 to 1"),
        ("prompt,model,score\nx,small,1\n\"y\ny\",small,2\n", "line 3, column \"score\": \"2\" is no number"),
        ("prompt,score:small\nx,NaN\n", "line 2, column \"score:small\": \"NaN\" is no number"),
        ("prompt,score:small\nx,1,1\n", "line 2: 3 fields where the header has 2"),
    ] {
        let error = load(content.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{content:?}: {error}");
    }
    let error = load(b"prompt,model,score\n\xff,small,1\n").unwrap_err().to_string();
    assert!(error.contains("line 2: not UTF-8"), "{error}");
}
