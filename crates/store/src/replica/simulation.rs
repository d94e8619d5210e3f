//! Many short histories of a few processes on one database, each from a seed: requests and answers are late, lost and out of order, processes
//! stop for a while or for ever, the database's clock jumps, the log is shortened, and the database loses its last commits: a standby took its place. What the processes do is asked of the code that the writer
//! asks; the database below does at one moment what its statements do within a transaction, as the rows that they lock make it so.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, Member, News, Role, Stretch, Term, is_another, is_lost, next};

/// Histories in one run of the tests.
const HISTORIES: u64 = 100_000;
/// Steps of a history in which things go wrong; after them all is well until nothing is left to do.
const STEPS: usize = 120;
/// As the writer has it, in milliseconds of the database.
const TERM: i64 = 8_000;
/// What is taken in one transaction: few, so that it takes several.
const ROOM: i64 = 3;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Decision(usize),
    Word { decision: usize, word: usize },
}

impl Item {
    /// Whether it is a word, and which one.
    fn key(self) -> (bool, usize) {
        match self {
            Self::Decision(id) => (false, id),
            Self::Word { word, .. } => (true, word),
        }
    }
}

#[derive(Clone, Debug)]
enum Ask {
    /// With what the process has seen.
    Connect {
        epoch: i64,
        session: i64,
    },
    Look,
    /// Under an epoch of the log: own items, and those of streams.
    Append {
        epoch: i64,
        /// The number of the process's last transaction, and of this one.
        after: i64,
        number: i64,
        /// Whether words on decisions that are not there wait for them, and of which processes it was told at this connection.
        has_others: bool,
        told: Option<Vec<usize>>,
        own: Vec<Item>,
        stretches: Vec<Stretch>,
    },
    /// As a follower.
    Send {
        session: i64,
        after: i64,
        number: i64,
        sent: i64,
        own: Vec<Item>,
    },
    Release {
        epoch: i64,
    },
}

#[derive(Debug)]
enum Answer {
    Claimed(Claim),
    Seen { seq: u64, free: bool, news: Vec<News>, others: Vec<usize> },
    Committed { seq: u64, sent: i64, taken: i64, refused: Vec<usize> },
    InUse,
}

#[derive(Clone, Default)]
struct Stream {
    session: i64,
    written: i64,
    sent: i64,
    taken: i64,
}

#[derive(Clone, Default)]
struct Database {
    now: i64,
    epoch: i64,
    /// Who held the log after which event.
    terms: Vec<(Term, u64)>,
    holder: Option<usize>,
    expires: i64,
    log: Vec<(i64, Item)>,
    /// By decision: whether it is in the log, and who made it.
    decided: Vec<bool>,
    makers: Vec<usize>,
    streams: Vec<Stream>,
    inbox: BTreeMap<(i64, i64), Item>,
    waiting: Vec<Item>,
    /// Saved states: what was known, and who wrote the last event of it.
    saved: Vec<Learnt>,
    shortened_to: u64,
    /// It has lost commits.
    is_set_back: bool,
    /// What must not be.
    wrong: Option<String>,
}

impl Database {
    fn do_at_once(&mut self, boot: usize, ask: Ask) -> Answer {
        match ask {
            Ask::Connect { epoch, session } => self.connect(boot, epoch, session),
            Ask::Look => {
                let free = self.holder.is_none() || self.expires < self.now;
                let news = self.streams.iter().enumerate().filter(|(_, row)| row.sent > row.taken);
                let news = news.map(|(stream, row)| News { stream: stream as i64, taken: row.taken, sent: row.sent });
                let others = (0..self.streams.len()).filter(|other| *other != boot && self.streams[*other].session > 0);
                Answer::Seen { seq: self.log.len() as u64, free, news: news.collect(), others: others.collect() }
            }
            Ask::Append { epoch, after, number, has_others, told, own, stretches } => {
                let is_mine = self.epoch == epoch && self.holder == Some(boot) && self.stream(boot).written == after;
                if !is_mine {
                    return Answer::InUse;
                }
                self.expires = self.now + TERM;
                self.take(&stretches);
                let refused = own.iter().filter_map(|item| self.append(*item, has_others, told.as_deref())).collect();
                let seq = self.log.len() as u64;
                let row = self.stream(boot);
                row.written = number;
                Answer::Committed { seq, sent: row.sent, taken: row.taken, refused }
            }
            Ask::Send { session, after, number, sent, own } => {
                let row = self.stream(boot);
                if row.session != session || row.written != after {
                    return Answer::InUse;
                }
                (row.sent, row.written) = (sent + own.len() as i64, number);
                let (last, taken) = (row.sent, row.taken);
                self.inbox.extend((sent + 1..).zip(own).map(|(n, item)| ((boot as i64, n), item)));
                Answer::Committed { seq: self.log.len() as u64, sent: last, taken, refused: Vec::new() }
            }
            Ask::Release { epoch } => {
                if self.epoch == epoch && self.holder == Some(boot) {
                    self.holder = None;
                }
                Answer::InUse
            }
        }
    }

    /// The row of a process; one of which the database has lost that it was there begins anew.
    fn stream(&mut self, boot: usize) -> &mut Stream {
        if self.streams.len() <= boot {
            self.streams.resize_with(boot + 1, Stream::default);
        }
        &mut self.streams[boot]
    }

    /// Which term an event is of.
    fn term_of(&self, seq: u64) -> Option<Term> {
        self.terms.iter().rev().find(|(_, after)| *after < seq).map(|(term, _)| *term)
    }

    fn connect(&mut self, boot: usize, epoch: i64, session: i64) -> Answer {
        let free = self.holder.is_none_or(|holder| holder == boot) || self.expires < self.now;
        let seq = self.log.len() as u64;
        if free {
            self.epoch = self.epoch.max(epoch) + 1;
            (self.holder, self.expires) = (Some(boot), self.now + TERM);
            self.terms.push((Term { epoch: self.epoch, id: boot as u128 }, seq));
        }
        let newest = self.epoch;
        let row = self.stream(boot);
        row.session = row.session.max(session) + 1;
        let Stream { session, written, sent, taken } = *row;
        let epoch = free.then_some(newest);
        Answer::Claimed(Claim { epoch, newest, seq, stream: boot as i64, session, written, sent, taken })
    }

    /// Takes what others sent, words included whose decisions are still to come: they are acknowledged.
    fn take(&mut self, stretches: &[Stretch]) {
        for stretch in stretches {
            if self.stream(stretch.stream as usize).taken != stretch.after {
                self.wrong = Some(format!("{stretch:?} is not what comes next"));
            }
            for n in stretch.after + 1..=stretch.to {
                let Some(item) = self.inbox.remove(&(stretch.stream, n)) else {
                    // What was seen there may be lost.
                    if !self.is_set_back {
                        self.wrong = Some(format!("{n} of {stretch:?} is not there"));
                    }
                    break;
                };
                self.log(item);
                self.streams[stretch.stream as usize].taken = n;
            }
        }
    }

    /// Appends what was said here. A word that is refused, as its decision is not there and is not waited for.
    fn append(&mut self, item: Item, has_others: bool, told: Option<&[usize]>) -> Option<usize> {
        match item {
            Item::Word { decision, word } if !has_others && !self.decided[decision] => {
                if told.is_none_or(|told| told.contains(&self.makers[decision])) {
                    self.wrong = Some(format!("word {word} is refused, and its decision may come"));
                }
                Some(word)
            }
            item => {
                self.log(item);
                None
            }
        }
    }

    /// All that it holds of what processes said.
    fn items(&self) -> impl Iterator<Item = Item> {
        self.log.iter().map(|(_, item)| *item).chain(self.inbox.values().copied()).chain(self.waiting.iter().copied())
    }

    fn log(&mut self, item: Item) {
        match item {
            Item::Word { decision, .. } if !self.decided[decision] => self.waiting.push(item),
            Item::Word { .. } => self.log.push((self.epoch, item)),
            Item::Decision(decision) => {
                self.log.push((self.epoch, item));
                if std::mem::replace(&mut self.decided[decision], true) {
                    self.wrong = Some(format!("decision {decision} is in the log twice"));
                }
                let is_about = |item: &Item| matches!(item, Item::Word { decision: about, .. } if *about == decision);
                let (come, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(is_about);
                self.waiting = waiting;
                self.log.extend(come.into_iter().map(|item| (self.epoch, item)));
            }
        }
    }
}

/// What was learnt, as a number that says in which order; and who wrote the last event of it.
#[derive(Clone, Copy, Default)]
struct Learnt {
    seq: u64,
    sum: u64,
    by: Option<Term>,
}

/// What a learner reads at one moment: what comes after what it knows, how far that goes, and who wrote the last event that it knows and the last of
/// all.
struct Read {
    items: Vec<Item>,
    last: u64,
    by: [Option<Term>; 2],
}

impl Learnt {
    fn learn(&mut self, item: Item) {
        let (is_word, number) = item.key();
        let number = 2 * number + usize::from(is_word);
        self.seq += 1;
        self.sum = (self.sum ^ number as u64).wrapping_mul(0x0100_0000_01B3).rotate_left(7);
    }
}

/// What a process waits for.
struct Pending {
    connection: u64,
    /// Of a transaction: how many of its items are entries that are kept for another try, and the words in it.
    entries: Vec<Item>,
    words: Vec<usize>,
    is_transaction: bool,
}

struct Process {
    boot: usize,
    member: Member,
    stopped: bool,
    leaving: bool,
    /// Entries that could not be written, and then what was asked of it since.
    backlog: Vec<Item>,
    calls: Vec<Item>,
    pending: Option<Pending>,
    news: Vec<News>,
    learnt: Learnt,
    /// What was read of the log after what is learnt.
    read: Option<Read>,
    /// Of which other processes it was told at this connection.
    told: Option<Vec<usize>>,
}

struct World {
    rng: Rng,
    database: Database,
    processes: Vec<Process>,
    /// Requests on their way, and answers: connection, boot.
    asked: Vec<(u64, usize, Ask)>,
    answered: Vec<(u64, Answer)>,
    connections: u64,
    boots: usize,
    /// By decision, who made it.
    made: Vec<usize>,
    words: usize,
    acknowledged: Vec<usize>,
    killed: Vec<usize>,
    /// The database as it was, from which a standby begins.
    past: Vec<Database>,
    /// What it lost: decisions and words.
    lost: (BTreeSet<usize>, BTreeSet<usize>),
    set_back: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng(seed),
            database: Database::default(),
            processes: Vec::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            connections: 0,
            boots: 0,
            made: Vec::new(),
            words: 0,
            acknowledged: Vec::new(),
            killed: Vec::new(),
            past: Vec::new(),
            lost: Default::default(),
            set_back: 0,
        };
        let count = 2 + world.rng.below(2);
        (0..count).for_each(|_| world.start());
        world
    }

    fn start(&mut self) {
        let boot = self.boots;
        self.boots += 1;
        self.processes.push(Process {
            boot,
            member: Member::default(),
            stopped: false,
            leaving: false,
            backlog: Vec::new(),
            calls: Vec::new(),
            pending: None,
            news: Vec::new(),
            learnt: Learnt::default(),
            read: None,
            told: None,
        });
    }

    /// Something happens, well or ill.
    fn step(&mut self) {
        let place = self.rng.below(self.processes.len());
        match self.rng.below(44) {
            0..=3 => self.decide(place),
            4..=7 => self.rate(place),
            8..=13 => self.turn(place),
            14..=18 => self.deliver_ask(),
            19..=23 => self.deliver_answer(),
            24 => self.processes[place].stopped ^= true,
            25 => self.cut(place),
            26 => self.database.now += [50, TERM + 1][self.rng.below(2)],
            27 => self.database.now -= self.rng.below(3 * TERM as usize) as i64,
            28..=37 => self.learn(place),
            38 => self.shorten(),
            39 if self.killed.len() < 3 => self.kill(place),
            40 => self.processes[place].leaving = true,
            41 => self.past.push(self.database.clone()),
            42 if self.set_back < 2 => self.promote(),
            _ => self.database.now += 300,
        }
    }

    fn decide(&mut self, place: usize) {
        let id = self.made.len();
        self.made.push(self.processes[place].boot);
        self.database.decided.push(false);
        self.database.makers.push(self.processes[place].boot);
        self.processes[place].calls.push(Item::Decision(id));
    }

    fn rate(&mut self, place: usize) {
        if self.made.is_empty() {
            return;
        }
        let decision = self.rng.below(self.made.len());
        self.processes[place].calls.push(Item::Word { decision, word: self.words });
        self.words += 1;
    }

    /// A process does what is next, if it waits for nothing.
    fn turn(&mut self, place: usize) {
        let look = self.rng.below(2) == 0;
        let process = &mut self.processes[place];
        if process.stopped || process.pending.is_some() {
            return;
        }
        let Some(claim) = process.member.claim() else {
            let (epoch, session) = process.member.seen();
            return self.ask(place, Ask::Connect { epoch, session }, Vec::new(), Vec::new());
        };
        let (role, owes) = (process.member.role(), process.member.owes());
        let stretches = if role == Some(Role::Holder) {
            let own = [News { stream: claim.stream, taken: claim.taken, sent: claim.sent }];
            let news = std::mem::take(&mut process.news);
            next(if owes { &own } else { &news }, claim.stream, owes, ROOM)
        } else {
            Vec::new()
        };
        let is_idle = process.backlog.is_empty() && process.calls.is_empty();
        if stretches.is_empty() && (look || is_idle) {
            if is_idle && process.leaving {
                return self.leave(place, claim);
            }
            return self.ask(place, Ask::Look, Vec::new(), Vec::new());
        }
        // What it owes goes alone.
        let calls = if owes { Vec::new() } else { std::mem::take(&mut process.calls) };
        let backlog = if owes { Vec::new() } else { std::mem::take(&mut process.backlog) };
        let own: Vec<_> = backlog.into_iter().chain(calls).collect();
        let entries = own.iter().filter(|item| matches!(item, Item::Decision(_))).copied().collect();
        let words = own.iter().filter_map(|item| if let Item::Word { word, .. } = item { Some(*word) } else { None });
        let words = words.collect();
        let (after, number) = (claim.written, process.member.begin());
        let ask = match claim.epoch {
            Some(epoch) => {
                let (has_others, told) = (process.member.has_others(), process.told.clone());
                Ask::Append { epoch, after, number, has_others, told, own, stretches }
            }
            None => Ask::Send { session: claim.session, after, number, sent: claim.sent, own },
        };
        self.ask(place, ask, entries, words);
    }

    fn ask(&mut self, place: usize, ask: Ask, entries: Vec<Item>, words: Vec<usize>) {
        let process = &mut self.processes[place];
        let is_transaction = matches!(ask, Ask::Append { .. } | Ask::Send { .. });
        process.pending = Some(Pending { connection: self.connections, entries, words, is_transaction });
        // A process has one connection at a time, and it asks one thing at a time: this number says which question it was.
        self.asked.push((self.connections, process.boot, ask));
        self.connections += 1;
    }

    /// It goes, as at a drain: the log is free at once. Another takes its place.
    fn leave(&mut self, place: usize, claim: Claim) {
        let gone = self.processes.swap_remove(place);
        if let Some(epoch) = claim.epoch {
            self.asked.push((u64::MAX, gone.boot, Ask::Release { epoch }));
        }
        self.start();
    }

    fn deliver_ask(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let place = self.rng.below(self.asked.len());
        let (connection, boot, ask) = self.asked.swap_remove(place);
        let answer = self.database.do_at_once(boot, ask);
        self.answered.push((connection, answer));
    }

    fn deliver_answer(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        let place = self.rng.below(self.answered.len());
        let waits = |process: &Process| {
            process.pending.as_ref().is_some_and(|pending| pending.connection == self.answered[place].0)
        };
        let Some(found) = self.processes.iter().position(waits) else {
            // Whoever asked has given the connection up.
            self.answered.swap_remove(place);
            return;
        };
        let process = &mut self.processes[found];
        if process.stopped {
            return;
        }
        let (_, answer) = self.answered.swap_remove(place);
        let Some(pending) = process.pending.take() else { return };
        match answer {
            Answer::Claimed(claim) => {
                let resumed = process.member.connected(claim);
                process.backlog.drain(..resumed.written);
                process.told = None;
            }
            Answer::Seen { seq, free, .. } if process.member.role() == Some(Role::Follower) => {
                if free || process.member.is_set_back(seq) {
                    process.member.failed(None);
                } else {
                    process.member.saw(seq);
                }
            }
            Answer::Seen { news, others, .. } => {
                process.news = news;
                process.member.counted(!others.is_empty());
                process.told = Some(others);
            }
            Answer::Committed { seq, sent, taken, refused } => {
                process.member.committed(seq, sent, taken);
                self.acknowledged.extend(pending.words.into_iter().filter(|word| !refused.contains(word)));
            }
            Answer::InUse => Self::fail(process, pending, false),
        }
    }

    fn fail(process: &mut Process, pending: Pending, at_commit: bool) {
        let in_doubt = (pending.is_transaction && at_commit).then_some(pending.entries.len());
        process.member.failed(in_doubt);
        process.news.clear();
        process.backlog.splice(..0, pending.entries);
    }

    /// A connection breaks: what was asked by it may have been done, may still be done, or never.
    fn cut(&mut self, place: usize) {
        let is_lost = self.rng.below(2) == 0;
        let process = &mut self.processes[place];
        process.news.clear();
        let Some(pending) = process.pending.take() else { return process.member.failed(None) };
        if is_lost {
            self.asked.retain(|(connection, ..)| *connection != pending.connection);
        }
        Self::fail(process, pending, true);
    }

    fn kill(&mut self, place: usize) {
        let gone = self.processes.swap_remove(place);
        self.killed.push(gone.boot);
        self.start();
    }

    /// The learner reads, and at another moment asks whether what it read was all there was.
    fn learn(&mut self, place: usize) {
        let (process, database) = (&mut self.processes[place], &mut self.database);
        if process.stopped {
            return;
        }
        let learnt = process.learnt;
        let Some(Read { items, last, by: [of_learnt, of_last] }) = process.read.take() else {
            let from = learnt.seq.max(database.shortened_to) as usize;
            let items = database.log.get(from..).unwrap_or_default().iter().map(|(_, item)| *item).collect();
            let last = database.log.len() as u64;
            process.read = Some(Read { items, last, by: [learnt.seq, last].map(|seq| database.term_of(seq)) });
            return;
        };
        if is_another((learnt.seq, learnt.by), last, of_learnt) || is_lost(learnt.seq, database.shortened_to) {
            process.learnt = database.saved.last().copied().unwrap_or_default();
            return;
        }
        items.into_iter().for_each(|item| process.learnt.learn(item));
        process.learnt.by = of_last;
        let known = process.learnt;
        // A state of what the log does not hold is refused.
        let is_of_it = !is_another((known.seq, known.by), database.log.len() as u64, database.term_of(known.seq));
        let is_newest = database.saved.last().is_none_or(|last| last.seq < known.seq);
        if process.member.role() == Some(Role::Holder) && is_newest && is_of_it {
            database.saved.push(known);
        }
    }

    /// The database goes on from an older state. What is asked by connections that are open reaches it, as through a pooler; what was under way by
    /// others was so on the server that is gone.
    fn promote(&mut self) {
        if self.past.is_empty() {
            return;
        }
        let place = self.rng.below(self.past.len());
        let mut standby = self.past[place].clone();
        // What it has not heard of is no past of its own.
        self.past.truncate(place + 1);
        (standby.now, standby.is_set_back) = (self.database.now, true);
        standby.wrong = self.database.wrong.take();
        standby.decided.resize(self.made.len(), false);
        standby.makers.clone_from(&self.made);
        let left: BTreeSet<(bool, usize)> = standby.items().map(Item::key).collect();
        for (is_word, number) in self.database.items().map(Item::key).filter(|key| !left.contains(key)) {
            if is_word {
                self.lost.1.insert(number)
            } else {
                self.lost.0.insert(number)
            };
        }
        self.database = standby;
        let is_open = |connection| {
            let waits =
                |process: &Process| process.pending.as_ref().is_some_and(|pending| pending.connection == connection);
            self.processes.iter().any(waits)
        };
        self.asked.retain(|(connection, ..)| is_open(*connection));
        self.set_back += 1;
    }

    /// The log loses what comes before the third newest state.
    fn shorten(&mut self) {
        let saved = &self.database.saved;
        if let Some(place) = saved.len().checked_sub(3) {
            self.database.shortened_to = self.database.shortened_to.max(saved[place].seq);
        }
    }

    /// From here on all goes well.
    fn heal(&mut self) {
        for process in &mut self.processes {
            (process.stopped, process.leaving) = (false, false);
        }
        for _ in 0..400 {
            let is_done = self.asked.is_empty()
                && self.answered.is_empty()
                && self.database.inbox.is_empty()
                && self.processes.iter().all(|process| {
                    let is_idle = process.pending.is_none() && process.backlog.is_empty() && process.calls.is_empty();
                    is_idle && process.learnt.seq == self.database.log.len() as u64 && process.read.is_none()
                });
            if is_done {
                return;
            }
            self.database.now += 2_000;
            for place in 0..self.processes.len() {
                self.turn(place);
                self.learn(place);
            }
            while !self.asked.is_empty() {
                self.deliver_ask();
            }
            while !self.answered.is_empty() {
                self.deliver_answer();
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if let Some(wrong) = &self.database.wrong {
            return Err(wrong.clone());
        }
        let log = &self.database.log;
        if !log.is_sorted_by_key(|(epoch, _)| *epoch) {
            return Err("an older epoch wrote after a newer one".to_owned());
        }
        let mut words = vec![0; self.words];
        let mut last = BTreeMap::new();
        for (_, item) in log {
            match *item {
                Item::Word { word, .. } => words[word] += 1,
                Item::Decision(id) => {
                    if last.insert(self.made[id], id).is_some_and(|before| before > id) {
                        return Err(format!("decision {id} comes after a later one of its process"));
                    }
                }
            }
        }
        if let Some(word) = words.iter().position(|count| *count > 1) {
            return Err(format!("word {word} is in the log twice"));
        }
        let waits = |word| {
            let is_it = |item: &Item| matches!(item, Item::Word { word: waiting, decision } if *waiting == word && !self.database.decided[*decision]);
            self.database.waiting.iter().any(is_it)
        };
        let is_gone = |word: usize| words[word] == 0 && !waits(word) && !self.lost.1.contains(&word);
        if let Some(word) = self.acknowledged.iter().find(|word| is_gone(**word)) {
            return Err(format!("word {word} was acknowledged and is nowhere"));
        }
        let lost = |id: &usize| {
            !self.database.decided[*id] && !self.killed.contains(&self.made[*id]) && !self.lost.0.contains(id)
        };
        if let Some(id) = (0..self.made.len()).find(lost) {
            return Err(format!("decision {id} is lost, and its process was not killed"));
        }
        let mut all = Learnt::default();
        log.iter().for_each(|(_, item)| all.learn(*item));
        match self.processes.iter().find(|process| (process.learnt.seq, process.learnt.sum) != (all.seq, all.sum)) {
            Some(process) => Err(format!("process {} has learnt something else, or too little", process.boot)),
            None => Ok(()),
        }
    }
}

fn history(seed: u64, steps: usize) -> Result<World, String> {
    let mut world = World::new(seed);
    (0..steps).for_each(|_| world.step());
    world.heal();
    world.check().map(|()| world)
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_happens() {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let (mut words, mut taken_over) = (0, 0);
            for seed in (half..HISTORIES).step_by(2) {
                match history(seed, STEPS) {
                    Ok(world) => {
                        words += world.acknowledged.len();
                        taken_over += world.database.epoch;
                    }
                    Err(_) => {
                        let fails = |steps: &usize| history(seed, *steps).is_err();
                        let steps = (0..=STEPS).find(fails).unwrap_or(STEPS);
                        let why = history(seed, steps).err().unwrap_or_default();
                        panic!("seed {seed}, {steps} steps: {why}");
                    }
                }
            }
            (words, taken_over)
        })
    });
    for half in halves {
        let (words, taken_over) = half.join().unwrap();
        assert!(
            words as u64 > HISTORIES && taken_over as u64 > HISTORIES,
            "too little happened: {words}, {taken_over}"
        );
    }
}
