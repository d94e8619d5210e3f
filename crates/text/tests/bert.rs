//! The encoder against numbers that numpy made (`tools/distil/tiny_bert.py`), and its refusals.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use slarouter_text::{Bert, BertOptions, Conversation, Encoder};

const HIDDEN: usize = 8;
const INNER: usize = 16;
const TOKENS: [&str; 13] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "a", "ff", "!", "able", "b", "c"];
const PLACES: usize = 10;

/// Makes the tensors in the order of their numbers.
#[derive(Default)]
struct Maker {
    state: u32,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl Maker {
    fn tensor(&mut self, name: &str, shape: &[usize], offset: f64) {
        let count: usize = shape.iter().product();
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f64::from(self.state >> 8) / f64::from(1 << 24) - 0.5 + offset;
            bytes.extend((value as f32).to_le_bytes());
        }
        self.tensors.insert(name.to_owned(), (shape.to_vec(), bytes));
    }

    fn norm(&mut self, name: &str) {
        self.tensor(&format!("{name}.weight"), &[HIDDEN], 1.0);
        self.tensor(&format!("{name}.bias"), &[HIDDEN], 0.0);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.tensor(&format!("{name}.weight"), &[outputs, inputs], 0.0);
        self.tensor(&format!("{name}.bias"), &[outputs], 0.0);
    }

    fn bert() -> Self {
        let mut maker = Self { state: 1, ..Self::default() };
        maker.tensor("embeddings.word_embeddings.weight", &[TOKENS.len(), HIDDEN], 0.0);
        maker.tensor("embeddings.position_embeddings.weight", &[PLACES, HIDDEN], 0.0);
        maker.tensor("embeddings.token_type_embeddings.weight", &[2, HIDDEN], 0.0);
        maker.norm("embeddings.LayerNorm");
        for layer in 0..2 {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["query", "key", "value"] {
                maker.linear(&name(&format!("attention.self.{part}")), HIDDEN, HIDDEN);
            }
            maker.linear(&name("attention.output.dense"), HIDDEN, HIDDEN);
            maker.norm(&name("attention.output.LayerNorm"));
            maker.linear(&name("intermediate.dense"), HIDDEN, INNER);
            maker.linear(&name("output.dense"), INNER, HIDDEN);
            maker.norm(&name("output.LayerNorm"));
        }
        maker
    }

    fn write(&self, folder: &Path) {
        let views = self
            .tensors
            .iter()
            .map(|(name, (shape, bytes))| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
        std::fs::write(folder.join("vocab.txt"), TOKENS.join("\n")).unwrap();
        std::fs::write(folder.join("config.json"), CONFIG).unwrap();
    }
}

const CONFIG: &str = r#"{"model_type":"bert","hidden_act":"gelu","hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,
    "intermediate_size":16,"vocab_size":13,"max_position_embeddings":10,"layer_norm_eps":1e-12,"other":[1]}"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Maker::bert().write(folder.path());
    folder
}

#[track_caller]
fn close(got: &[f32], wanted: &[f32]) {
    assert!(got.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 2e-6), "{got:?} is not {wanted:?}");
}

const WANTED: [(&str, [f32; HIDDEN]); 3] = [
    ("Unaffable", [0.107927, 0.715911, -0.371205, -0.117527, -0.289606, 0.235927, -0.355714, 0.241148]),
    ("", [0.145888, 0.643385, -0.148729, -0.199415, -0.340281, 0.30161, -0.458966, 0.292362]),
    // Cut at the ten places that this model has.
    ("a a a a a a a a a a a", [0.019811, 0.634805, -0.321877, -0.184724, -0.162998, 0.224359, -0.448237, 0.425536]),
];

#[test]
fn vectors_are_those_of_the_reference_alone_and_together() {
    let folder = folder();
    let all = WANTED.map(|(text, _)| text);
    for cache in [0, 100] {
        let mut options = BertOptions::projected(None);
        options.cache = cache;
        let bert = Bert::load(folder.path(), options).unwrap();
        for (text, wanted) in WANTED {
            close(&bert.embed(&[text])[0], &wanted);
        }
        for (got, (_, wanted)) in bert.embed(&all).iter().zip(WANTED) {
            close(got, &wanted);
        }
        assert!(bert.embed(&[]).is_empty());
    }
}

#[test]
fn features_hold_the_vector_the_context_and_the_surface() {
    let folder = folder();
    let bert = Bert::load(folder.path(), BertOptions::projected(Some(4))).unwrap();
    assert_eq!(bert.dim(), 36);
    let read = |messages: &str| Conversation::from_messages(messages, None).unwrap();
    let plain = read(r#"[{"role":"user","content":"a b"}]"#);
    let system = read(r#"[{"role":"system","content":"unaffable!"},{"role":"user","content":"a b"}]"#);
    let encode = |conversation: &Conversation| {
        let mut out = vec![f32::NAN; 36];
        bert.encode(conversation, &mut out);
        out
    };
    let (alone, with) = (encode(&plain), encode(&system));
    assert!((alone[..4].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_ne!(alone[..4], with[..4]);
    let mut together = vec![f32::NAN; 72];
    bert.encode_batch(&[&system, &plain], &mut together);
    close(&together[..36], &with);
    close(&together[36..], &alone);
}

#[test]
fn versions_follow_the_weights_and_the_projection() {
    let (one, other) = (folder(), folder());
    let version = |folder: &Path, project| Bert::load(folder, BertOptions::projected(project)).unwrap().version();
    assert_eq!(version(one.path(), Some(4)), version(other.path(), Some(4)));
    let mut maker = Maker::bert();
    maker.tensors.get_mut("encoder.layer.1.output.dense.bias").unwrap().1[0] ^= 1;
    maker.write(other.path());
    let versions = [version(one.path(), Some(4)), version(one.path(), None), version(other.path(), Some(4))];
    assert!(versions[0] != versions[1] && versions[0] != versions[2], "{versions:?}");
}

#[test]
fn wrong_files_are_refused_with_their_name_and_a_remedy() {
    let refuse = |change: &dyn Fn(&Path)| {
        let folder = folder();
        change(folder.path());
        Bert::load(folder.path(), BertOptions::projected(None)).unwrap_err().to_string()
    };
    let check = |error: String, parts: &[&str]| assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    check(refuse(&|f| std::fs::remove_file(f.join("vocab.txt")).unwrap()), &["vocab.txt", "needs config.json"]);
    check(refuse(&|f| std::fs::write(f.join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]").unwrap()), &["vocab.txt", "13"]);
    check(refuse(&|f| std::fs::write(f.join("config.json"), "{").unwrap()), &["config.json", "copy the file again"]);
    let other = CONFIG.replace("\"gelu\"", "\"relu\"");
    check(refuse(&|f| std::fs::write(f.join("config.json"), &other).unwrap()), &["relu is not supported"]);
    let cased = r#"{"do_lower_case": false}"#;
    check(refuse(&|f| std::fs::write(f.join("tokenizer_config.json"), cased).unwrap()), &["cased", "uncased one"]);
    let cut = |f: &Path| {
        let path = f.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    check(refuse(&cut), &["model.safetensors", "copy the file again"]);
    let mut maker = Maker::bert();
    maker.tensors.remove("encoder.layer.0.output.dense.bias");
    check(refuse(&|f| maker.write(f)), &["there is no tensor encoder.layer.0.output.dense.bias"]);
    let mut maker = Maker::bert();
    maker.tensor("embeddings.LayerNorm.bias", &[9], 0.0);
    check(refuse(&|f| maker.write(f)), &["embeddings.LayerNorm.bias has the shape [9], not [8]"]);
    let mut maker = Maker::bert();
    maker.tensors.get_mut("embeddings.LayerNorm.bias").unwrap().1[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    check(refuse(&|f| maker.write(f)), &["no numbers"]);
    let folder = folder();
    let error = Bert::load(folder.path(), BertOptions::projected(Some(9))).unwrap_err().to_string();
    assert!(error.contains("between 1 and 8"), "{error}");
}

/// With the real model, if `SLAROUTER_MINILM` names its folder.
#[test]
fn real_vectors() {
    let Ok(folder) = std::env::var("SLAROUTER_MINILM") else { return };
    let bert = Bert::load(Path::new(&folder), BertOptions::projected(None)).unwrap();
    let long = "Schreibe ein Gedicht über den Mond. ".repeat(40);
    let got = bert.embed(&["How do I sort a list in Python?", &long]);
    close(&got[0][..8], &[0.010175, 0.055404, 0.033832, -0.014343, 0.019423, -0.057676, 0.046606, 0.024471]);
    close(&got[1][..8], &[0.052459, 0.066531, -0.020354, -0.078452, 0.025367, 0.032821, -0.026392, -0.107863]);
}
