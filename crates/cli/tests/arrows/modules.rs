//! Which file of a crate imports from which, read from its sources: `use` and paths, those of tests aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module by its path from the root of the crate, which is the empty one.
type Module = Vec<String>;

/// Which file imports from which. A file goes by its module, as in `chat::ask`; the root of the crate is `crate`.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// What the sources of a crate say.
#[derive(Default)]
struct Sources {
    /// The modules that are files of their own.
    files: BTreeSet<Module>,
    /// Modules within a file, with that file's.
    inline: BTreeMap<Module, Module>,
    /// Those that only tests have.
    of_tests: BTreeSet<Module>,
    /// What a name stands for that a module has from elsewhere: a re-export is an import of what it names.
    names: BTreeMap<(Module, String), Vec<String>>,
    /// Every path, with the module that it stands in.
    paths: Vec<(Module, Vec<String>)>,
}

/// The imports between the files below `src`.
pub(crate) fn imports(src: &Path) -> Imports {
    let mut sources = Sources::default();
    for root in ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().filter(|path| path.exists()) {
        sources.read(src, &root, &Vec::new());
    }
    let mut imports = Imports::new();
    for (module, path) in &sources.paths {
        let Some(from) = sources.file_of(module) else { continue };
        let to = sources.resolved(module, path, 16).and_then(|target| sources.file_of(&target));
        if let Some(to) = to.filter(|to| *to != from) {
            imports.entry(shown(&from)).or_default().insert(shown(&to));
        }
    }
    imports
}

/// The files that import each other in a circle, circle by circle.
pub(crate) fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|from| (from, reach(imports, from))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (from, to) in &reached {
        let back = |other: &&&String| reached.get(**other).is_some_and(|there| there.contains(from));
        let mut circle: BTreeSet<String> = to.iter().filter(back).map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            circle.insert((*from).clone());
            if !circles.contains(&circle) {
                circles.push(circle);
            }
        }
    }
    circles
}

/// Imports from a lower floor to a higher one, and files that stand on none. `floors` begins with the lowest; a name stands for
/// all modules below it, unless they are named themselves.
pub(crate) fn upward(imports: &Imports, floors: &[&[&str]]) -> Vec<String> {
    let floor = |module: &str| {
        let mut name = module;
        loop {
            if let Some(floor) = floors.iter().position(|floor| floor.contains(&name)) {
                return Some(floor + 1);
            }
            name = name.rsplit_once("::")?.0;
        }
    };
    let mut found = BTreeSet::new();
    for (from, to) in imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
        match (floor(from), floor(to)) {
            (Some(low), Some(high)) if low < high => {
                found.insert(format!("{from} on floor {low} imports {to} on floor {high}"));
            }
            (Some(_), Some(_)) => {}
            (from_floor, _) => {
                let lost = if from_floor.is_none() { from } else { to };
                found.insert(format!("{lost} stands on no floor"));
            }
        }
    }
    found.into_iter().collect()
}

fn reach<'a>(imports: &'a Imports, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(imports.get(file).into_iter().flatten().filter(|to| reached.insert(*to)));
    }
    reached
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

fn below(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

impl Sources {
    /// Reads a file and those of the modules that it declares.
    fn read(&mut self, src: &Path, path: &Path, module: &Module) {
        let text = fs::read_to_string(path).unwrap();
        let tokens = text.parse::<TokenStream>().map_err(|error| format!("{}: {error}", path.display())).unwrap();
        self.files.insert(module.clone());
        let mut declared = self.walk(tokens, module);
        declared.retain(|child| !self.of_tests.contains(child));
        for child in declared {
            let path = src.join(child.join("/")).with_extension("rs");
            self.read(src, &path, &child);
        }
    }

    /// Notes what stands in a module or a part of it. Returns the modules that it declares as files.
    fn walk(&mut self, tokens: TokenStream, module: &Module) -> Vec<Module> {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut declared = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if is_test_attribute(&tokens[at..]) {
                at = self.skip_tested(&tokens, at + 2, module);
                continue;
            }
            match &tokens[at] {
                TokenTree::Ident(word) if word == "use" => {
                    let end = (at..tokens.len()).find(|end| is(&tokens[*end], ';')).unwrap_or(tokens.len());
                    self.import(&tokens[at + 1..end], &[], module);
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" && at + 2 < tokens.len() => {
                    let child = below(module, &tokens[at + 1].to_string());
                    if let TokenTree::Group(body) = &tokens[at + 2] {
                        let file = self.file_of(module).unwrap_or_default();
                        self.inline.insert(child.clone(), file);
                        declared.extend(self.walk(body.stream(), &child));
                    } else {
                        declared.push(child);
                    }
                    at += 2;
                }
                TokenTree::Ident(_) => at = self.path(&tokens, at, module),
                TokenTree::Group(group) => declared.extend(self.walk(group.stream(), module)),
                _ => {}
            }
            at += 1;
        }
        declared
    }

    /// Where what only tests have ends, which begins at `at`.
    fn skip_tested(&mut self, tokens: &[TokenTree], mut at: usize, module: &Module) -> usize {
        while at < tokens.len() && !is(&tokens[at], ';') {
            if let (TokenTree::Ident(word), Some(name)) = (&tokens[at], tokens.get(at + 1))
                && word == "mod"
            {
                self.of_tests.insert(below(module, &name.to_string()));
            }
            if matches!(&tokens[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace) {
                break;
            }
            at += 1;
        }
        at + 1
    }

    /// Notes a path that begins at `at`, if one does. Returns where it ends.
    fn path(&mut self, tokens: &[TokenTree], at: usize, module: &Module) -> usize {
        let mut path = vec![tokens[at].to_string()];
        let mut end = at;
        while let [colon, second, TokenTree::Ident(next), ..] = &tokens[end + 1..]
            && is(colon, ':')
            && is(second, ':')
        {
            path.push(next.to_string());
            end += 3;
        }
        if path.len() > 1 {
            self.paths.push((module.clone(), path));
        }
        end
    }

    /// Notes what a tree of imports names, below `prefix`.
    fn import(&mut self, tree: &[TokenTree], prefix: &[String], module: &Module) {
        let mut path = prefix.to_vec();
        let mut name = None;
        let mut grouped = false;
        let mut rest = tree.iter();
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => name = rest.next().map(ToString::to_string),
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    grouped = true;
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inside.split(|token| is(token, ',')).filter(|part| !part.is_empty()) {
                        self.import(part, &path, module);
                    }
                }
                _ => {}
            }
        }
        if !grouped && let Some(last) = path.last() {
            let name = name.unwrap_or_else(|| last.clone());
            self.names.insert((module.clone(), name), path.clone());
            self.paths.push((module.clone(), path));
        }
    }

    fn is_module(&self, module: &Module) -> bool {
        self.files.contains(module) || self.inline.contains_key(module)
    }

    /// The file that holds a module, or an item of one.
    fn file_of(&self, module: &Module) -> Option<Module> {
        let mut module = module.clone();
        loop {
            if self.files.contains(&module) {
                return Some(module);
            }
            if let Some(file) = self.inline.get(&module) {
                return Some(file.clone());
            }
            module.pop()?;
        }
    }

    /// What a path means, from the root of the crate; `None` for what is none of the crate's. Names that a module has from
    /// elsewhere are followed, `depth` times at most.
    fn resolved(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.clone(),
            child if self.is_module(&below(module, child)) => module.clone(),
            _ => return None,
        };
        for (place, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" | "self" => continue,
                "super" => {
                    at.pop();
                    continue;
                }
                _ => {}
            }
            let next = below(&at, segment);
            if self.is_module(&next) {
                at = next;
                continue;
            }
            return match self.names.get(&(at.clone(), segment.clone())) {
                Some(elsewhere) if depth > 0 => {
                    let whole: Vec<String> = elsewhere.iter().chain(&path[place + 1..]).cloned().collect();
                    self.resolved(&at, &whole, depth - 1)
                }
                _ => Some(next),
            };
        }
        Some(at)
    }
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether `#[cfg(test)]` stands here.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else { return false };
    is(hash, '#') && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}
