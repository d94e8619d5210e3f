//! The writer: drains what waits, applies it in one transaction, then answers. Whether it appends to the log or sends to the process that
//! does is for [`Member`] to say.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use super::apply::Work;
use super::batch::{Batch, Steps, keep, take};
use super::insert::ZooNumbers;
use super::lease::{self, RENEW};
use super::readers::KnownZoos;
use super::rollups::GroupNumbers;
use super::send::Letter;
use super::server::Server;
use super::spooling::{Keeper, Spare, pass_on, spares, told};
use super::stream::{self, Waiting};
use crate::command::{Answer, Command};
use crate::health::Health;
use crate::inbox::{BACKLOG, Inbox, RETRY, shed};
use crate::replica::{Claim, Member, News, Resumed, Role, Stretch, next};
use crate::spool::Spool;
use crate::{Entry, StoreError};

/// With the transaction, as a pooler may give the next one to another connection of the server. A process that is stopped in the middle of
/// one holds nobody up for longer than this.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";
/// How long the statements of a transaction may take together, longer than the server lets one of them: after that it is the network that is
/// gone.
const UNANSWERED: Duration = Duration::from_secs(30);
/// Pause before the server is tried again, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// For how long a process that ends brings what was kept to the database; the rest stays for the next one.
const LAST: Duration = Duration::from_secs(5);

/// How often a process that shares the log looks what the others have sent, or whether the log is to be had.
const LOOK: Duration = Duration::from_millis(100);
/// What others sent is taken so much at a time, as long as there is more: what is logged here meanwhile waits for no more of it.
const ROOM: i64 = 512;
/// How often it is asked whether there are others, and how often one that is alone looks.
const OTHERS: Duration = Duration::from_secs(1);

/// A connection, and what it knows of the tables.
struct Session {
    client: Client,
    /// `None` where another process holds the log.
    known: Option<Known>,
}

/// What only the holder of the log needs to know.
struct Known {
    zoos: ZooNumbers,
    groups: GroupNumbers,
    waiting: Waiting,
}

/// What a transaction came to.
enum Failed {
    /// Nothing of it is in the log.
    Before(StoreError),
    /// It may be in the log.
    AtCommit(StoreError),
}

/// What a writer tells of itself.
pub(super) struct Told {
    pub(super) commit: watch::Sender<u64>,
    pub(super) role: watch::Sender<Role>,
    /// What readers know of the tables.
    pub(super) zoos: KnownZoos,
    pub(super) health: Arc<Health>,
}

pub(super) struct Writer {
    server: Server,
    /// What this process is known by.
    boot: Uuid,
    /// Whether it sends to another process that holds the log, rather than fail.
    is_shared: bool,
    runtime: Runtime,
    /// `None` after a failure: the next batch connects anew.
    session: Option<Session>,
    member: Member,
    told: Told,
    /// Without a file: entries that wait.
    backlog: Vec<Entry>,
    /// With a file: what waits there.
    keeper: Option<Keeper>,
    /// The last of what is kept went to the database without a failure.
    is_pouring: bool,
    /// Who waits until all that is kept is in the log.
    flushes: Vec<Answer>,
    /// What others sent, as it was seen last, and when that was.
    news: Vec<News>,
    looked: Option<Instant>,
    /// What others had sent that was not taken when it was looked last, and whether that is more than is taken at a time. What stays the same
    /// cannot be taken.
    owed: i64,
    is_more: bool,
    /// When it was last asked whether this process is the only one.
    counted: Option<Instant>,
    /// When it last said that it is there.
    here: Option<Instant>,
    /// Pause before the server is tried again.
    pause: Duration,
    /// When it was last found to be away, and why.
    away: Option<(Instant, String)>,
    /// When it was last told that the log cannot be written.
    complained: Option<Instant>,
}

impl Writer {
    /// One that is shared has a file for the time without a database.
    pub(super) fn new(
        server: Server,
        boot: Uuid,
        is_shared: bool,
        spool: Option<Spool>,
        runtime: Runtime,
        told: Told,
    ) -> Self {
        let keeper = spool.map(|spool| Keeper::new(spool, told.health.clone()));
        Self {
            server,
            boot,
            is_shared,
            runtime,
            session: None,
            member: Member::default(),
            told,
            backlog: Vec::new(),
            keeper,
            is_pouring: false,
            flushes: Vec::new(),
            news: Vec::new(),
            looked: None,
            owed: 0,
            is_more: false,
            counted: None,
            here: None,
            pause: SHORTEST_PAUSE,
            away: None,
            complained: None,
        }
    }

    /// Runs until the inbox is closed and all that it held is written.
    pub(super) fn run(mut self, inbox: &Inbox) {
        loop {
            let Some(batch) = inbox.take(Some(self.patience())) else { break };
            self.write(batch);
        }
        if !self.backlog.is_empty() {
            self.away = None;
            self.write(Vec::new());
            self.drop_entries(self.backlog.len());
        }
        self.bring_last();
        if let (Some(session), Some(claim)) = (self.session.take(), self.member.claim()) {
            let leaving = async {
                match claim.epoch {
                    Some(epoch) => lease::release(&session.client, self.boot, epoch).await,
                    None => lease::end(&session.client, self.boot).await,
                }
            };
            // Whoever comes then waits for the end of the term.
            if let Err(error) = self.runtime.block_on(leaving) {
                tracing::warn!(%error, "leaving the log");
            }
        }
    }

    /// Readers and the learner wait for what is logged even when nothing else comes, and others for this process to go.
    fn patience(&self) -> Duration {
        if self.is_behind() {
            return if self.is_pouring { Duration::ZERO } else { self.pause };
        }
        if !self.backlog.is_empty() && self.away.is_some() {
            return self.pause;
        }
        self.every()
    }

    /// Time between two looks.
    fn every(&self) -> Duration {
        if self.is_more {
            return Duration::ZERO;
        }
        match self.member.role() {
            Some(Role::Holder) if !self.is_shared => RENEW,
            Some(Role::Holder) if !self.member.has_others() => OTHERS,
            _ => LOOK,
        }
    }

    fn write(&mut self, commands: Vec<Command>) {
        if self.is_behind() {
            return self.catch_up(commands);
        }
        let (commands, spared) = if self.keeper.is_some() { spares(commands) } else { (commands, Vec::new()) };
        // What could not be written before goes first: the order of the log is the order of the calls.
        let mut entries = std::mem::take(&mut self.backlog);
        let mut answers = Vec::new();
        let (mut steps, mut logged) = (Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Log(entry) => logged.push(entry),
                command => steps.push((std::mem::take(&mut logged), command)),
            }
        }
        match self.transaction(&mut entries, steps, logged, &mut answers) {
            Ok(()) => {
                self.is_well();
                answers.into_iter().for_each(Answer::give);
                pass_on(spared);
            }
            Err(failed) => self.failed(failed, entries, answers, spared),
        }
    }

    /// Whether what comes has to wait behind what is kept.
    fn is_behind(&self) -> bool {
        self.keeper.as_ref().is_some_and(Keeper::is_behind)
    }

    /// Keeps what comes, and brings the first of what is kept to the database.
    fn catch_up(&mut self, commands: Vec<Command>) {
        let Some(keeper) = &mut self.keeper else { return };
        let (rest, lost) = keeper.keep(commands, None);
        if let Some(lost) = lost {
            self.complain(&lost);
        }
        let is_flush = |command: &Command| matches!(command, Command::Flush { .. });
        let (flushes, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_flush);
        self.flushes.extend(flushes.into_iter().map(Answer::unwritten));
        let mut answers = Vec::new();
        match self.pour(rest, &mut answers) {
            Ok(()) => {
                self.is_well();
                self.is_pouring = true;
                answers.into_iter().for_each(told);
                if !self.is_behind() {
                    tracing::info!("what was kept while the database was away is in the log");
                    std::mem::take(&mut self.flushes).into_iter().for_each(Answer::give);
                }
            }
            Err(failed) => {
                self.is_pouring = false;
                let error = self.give_up(failed, None);
                answers.append(&mut self.flushes);
                answers.into_iter().for_each(|answer| answer.refuse(&error.to_string()));
            }
        }
    }

    /// One transaction with the first of what is kept, and with what else is asked.
    fn pour(&mut self, rest: Vec<Command>, answers: &mut Vec<Answer>) -> Result<(), Failed> {
        let ready = self.ready(&mut Vec::new());
        let upcoming = self.member.upcoming();
        let first = ready.and_then(|()| match &mut self.keeper {
            Some(keeper) => keeper.first(ROOM as usize, upcoming).map_err(Failed::Before),
            None => Err(Failed::Before(StoreError::Closed)),
        });
        let (mut steps, mut logged) = match first {
            Ok(first) => first,
            Err(failed) => {
                keep(rest.into_iter().map(|command| (Vec::new(), command)), Vec::new(), &mut Vec::new(), answers);
                return Err(failed);
            }
        };
        steps.extend(rest.into_iter().map(|command| (std::mem::take(&mut logged), command)));
        self.deliver(&mut Vec::new(), steps, logged, answers)?;
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.settle(upcoming)).map_err(Failed::Before)
    }

    /// At the end of the process.
    fn bring_last(&mut self) {
        let until = Instant::now() + LAST;
        self.away = None;
        while self.is_behind() && Instant::now() < until {
            self.catch_up(Vec::new());
            if !self.is_pouring {
                break;
            }
        }
        if let Some(keeper) = &self.keeper {
            keeper.leave();
        }
    }

    fn is_well(&mut self) {
        (self.pause, self.away, self.complained) = (SHORTEST_PAUSE, None, None);
        if self.told.health.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the log can be written again");
        }
    }

    fn failed(&mut self, failed: Failed, entries: Vec<Entry>, answers: Vec<Answer>, spared: Vec<Spare>) {
        let in_doubt = matches!(failed, Failed::AtCommit(_)).then(|| self.member.last());
        let error = self.give_up(failed, self.keeper.is_none().then_some(entries.len()));
        answers.into_iter().for_each(|answer| answer.refuse(&error.to_string()));
        if let Some(keeper) = &mut self.keeper {
            self.is_pouring = false;
            if let Some(lost) = keeper.keep_again(entries, spared, in_doubt) {
                self.complain(&lost);
            }
            return;
        }
        self.backlog = entries;
        self.backlog.iter_mut().fold(0, |waiting, entry| shed(entry, waiting));
        if self.backlog.len() > BACKLOG {
            self.drop_entries(self.backlog.len() - BACKLOG);
        }
    }

    /// The connection is of no use any more. `entries` are the first of those that wait in memory, if they were in the transaction.
    fn give_up(&mut self, failed: Failed, entries: Option<usize>) -> StoreError {
        let error = match failed {
            Failed::Before(error) => {
                self.member.failed(None);
                error
            }
            Failed::AtCommit(error) => {
                self.member.failed(entries);
                error
            }
        };
        // Only a new connection is sure to have no transaction open.
        self.session = None;
        self.news.clear();
        self.is_more = false;
        if self.is_shared && matches!(error, StoreError::InUse(_)) {
            tracing::warn!("another gateway has taken the log over: this one goes on as its follower");
        } else {
            if self.keeper.is_none() {
                self.told.health.failing.store(true, Ordering::Relaxed);
            }
            self.complain(&error.to_string());
        }
        error
    }

    fn complain(&mut self, error: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= RETRY) {
            let kept = self.told.health.kept().records;
            tracing::error!(error, kept, "the log cannot be written");
            self.complained = Some(Instant::now());
        }
    }

    fn drop_entries(&mut self, count: usize) {
        let count = count.min(self.backlog.len());
        self.backlog.drain(..count);
        self.member.dropped(count);
        self.told.health.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Writes all in one transaction: entries that waited, then each command with the entries logged before it, then what was logged last.
    /// All entries are in `entries` when it returns with an error, so that a failure loses none.
    fn transaction(
        &mut self,
        entries: &mut Vec<Entry>,
        steps: Steps,
        logged: Vec<Entry>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failed> {
        if let Err(failed) = self.ready(entries) {
            keep(steps, logged, entries, answers);
            return Err(failed);
        }
        self.deliver(entries, steps, logged, answers)
    }

    /// By what this process is to the log.
    fn deliver(
        &mut self,
        entries: &mut Vec<Entry>,
        steps: Steps,
        logged: Vec<Entry>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failed> {
        match self.member.role() {
            Some(Role::Follower) => self.send(entries, steps, logged, answers),
            _ => {
                let own = self.member.claim().map_or(0, |claim| claim.stream);
                let stretches = next(&std::mem::take(&mut self.news), own, false, ROOM);
                let is_idle = entries.is_empty() && steps.is_empty() && logged.is_empty() && stretches.is_empty();
                if is_idle && self.here.is_some_and(|at| at.elapsed() < RENEW) {
                    return Ok(());
                }
                self.append(&stretches, entries, steps, logged, answers)
            }
        }
    }

    /// Sees to a connection, to the log if it is to be had, and that what this process sent before is in it; and looks what others sent.
    fn ready(&mut self, waiting: &mut Vec<Entry>) -> Result<(), Failed> {
        self.connect(waiting).map_err(Failed::Before)?;
        if self.member.role() == Some(Role::Follower) && self.is_due() && self.look().map_err(Failed::Before)? {
            // It may be too late; then it is a follower again.
            self.member.failed(None);
            self.session = None;
            self.connect(waiting).map_err(Failed::Before)?;
        }
        while self.member.owes()
            && let Some(claim) = self.member.claim()
        {
            let news = [News { stream: claim.stream, taken: claim.taken, sent: claim.sent }];
            let stretches = next(&news, claim.stream, true, ROOM);
            match self.append(&stretches, &mut Vec::new(), Vec::new(), Vec::new(), &mut Vec::new()) {
                // None of the entries that wait is in this transaction.
                Err(Failed::Before(error) | Failed::AtCommit(error)) => return Err(Failed::Before(error)),
                Ok(()) if self.member.claim().is_some_and(|now| now.taken == claim.taken) => break,
                Ok(()) => {}
            }
        }
        if self.is_shared && self.member.role() == Some(Role::Holder) && self.is_due() {
            self.listen().map_err(Failed::Before)?;
        }
        Ok(())
    }

    /// Whether it is time to look again.
    fn is_due(&mut self) -> bool {
        let is_due = self.is_shared && self.looked.is_none_or(|at| at.elapsed() >= self.every());
        if is_due {
            self.looked = Some(Instant::now());
        }
        is_due
    }

    /// Follows the log. Whether it is to be had, or is seen to have lost events: a new connection finds out.
    fn look(&mut self) -> Result<bool, StoreError> {
        let Some(Session { client, .. }) = &self.session else { return Ok(false) };
        let (boot, tell) = (self.boot, self.here.is_none_or(|at| at.elapsed() >= RENEW));
        let looking = async {
            if tell {
                lease::here(client, boot).await?;
            }
            lease::look(client).await
        };
        let looked = self.runtime.block_on(async { tokio::time::timeout(UNANSWERED, looking).await });
        let (seq, is_free) = looked.unwrap_or_else(|_| Err(unanswered()))?;
        if tell {
            self.here = Some(Instant::now());
        }
        if self.member.is_set_back(seq) {
            return Ok(true);
        }
        self.member.saw(seq);
        self.tell(seq);
        Ok(is_free)
    }

    /// What others have sent.
    fn listen(&mut self) -> Result<(), StoreError> {
        let Some(Session { client, .. }) = &self.session else { return Ok(()) };
        let (boot, ask) = (self.boot, self.counted.is_none_or(|at| at.elapsed() >= OTHERS));
        let listening = async {
            let others = if ask { Some(stream::others(client, boot).await?) } else { None };
            Ok::<_, StoreError>((stream::news(client).await?, others))
        };
        let heard = self.runtime.block_on(async { tokio::time::timeout(UNANSWERED, listening).await });
        let (news, others) = heard.unwrap_or_else(|_| Err(unanswered()))?;
        if let Some(others) = others {
            // One that has ended may have left something.
            self.member.counted(others || !news.is_empty());
            self.counted = Some(Instant::now());
        }
        let owed = news.iter().map(|news| news.sent - news.taken).sum();
        self.is_more = owed > ROOM && owed != std::mem::replace(&mut self.owed, owed);
        self.news = news;
        Ok(())
    }

    /// As the holder of the log.
    fn append(
        &mut self,
        stretches: &[Stretch],
        entries: &mut Vec<Entry>,
        steps: Steps,
        logged: Vec<Entry>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failed> {
        let written = self.member.begin();
        // What was kept is acknowledged: words on decisions that are still to come wait for them.
        let has_others = self.member.has_others() || self.is_behind();
        let (Some(claim), Some(Session { client, known: Some(known) })) = (self.member.claim(), &mut self.session)
        else {
            keep(steps, logged, entries, answers);
            return Err(Failed::Before(StoreError::Closed));
        };
        let (boot, epoch, shown) = (self.boot, claim.epoch.unwrap_or_default(), self.server.shown());
        let Known { zoos, groups, waiting } = known;
        let after = claim.written;
        let mut work =
            Work { client, epoch, seq: claim.seq, stream: claim.stream, zoos, groups, waiting, boot, has_others };
        let mut batch = Batch::new(&mut work, steps, logged, entries, answers);
        let written = self.runtime.block_on(async {
            let all = async {
                let begun = async {
                    client.batch_execute(BEGIN).await?;
                    take(batch.work, stretches, claim.stream).await
                };
                let begun = begun.await;
                let own = begun.as_ref().ok().copied().flatten();
                batch.all(begun.map(drop)).await?;
                lease::advance(client, boot, epoch, batch.work.seq, (after, written), &shown).await?;
                Ok::<_, StoreError>((batch.work.seq, own))
            };
            let all = tokio::time::timeout(UNANSWERED, all).await;
            let (seq, own) = all.unwrap_or_else(|_| Err(unanswered())).map_err(Failed::Before)?;
            commit(client).await?;
            Ok::<_, Failed>((seq, own))
        });
        batch.leave();
        let (seq, own) = written?;
        self.here = Some(Instant::now());
        self.member.committed(seq, claim.sent, own.unwrap_or(claim.taken));
        // Whoever has an answer finds the log as far as that.
        self.tell(seq);
        Ok(())
    }

    /// As one that does not hold it.
    fn send(
        &mut self,
        entries: &mut Vec<Entry>,
        steps: Steps,
        logged: Vec<Entry>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failed> {
        let letter = Letter::of(entries, steps, logged);
        if letter.is_empty(entries) {
            return Ok(());
        }
        let written = self.member.begin();
        let (Some(claim), Some(Session { client, .. })) = (self.member.claim(), &self.session) else {
            answers.extend(letter.answers(None));
            return Err(Failed::Before(StoreError::Closed));
        };
        let boot = self.boot;
        let done = self.runtime.block_on(async {
            let all = async {
                client.batch_execute(BEGIN).await?;
                let (last, receipts) = letter.send(client, (claim.stream, claim.sent), entries).await?;
                lease::sent(client, boot, claim.session, last, (claim.written, written)).await?;
                Ok::<_, StoreError>((last, receipts))
            };
            let all = tokio::time::timeout(UNANSWERED, all).await;
            let (last, receipts) = all.unwrap_or_else(|_| Err(unanswered())).map_err(Failed::Before)?;
            commit(client).await?;
            Ok::<_, Failed>((last, receipts))
        });
        match done {
            Ok((last, receipts)) => {
                answers.extend(letter.answers(Some(receipts)));
                self.member.committed(claim.seq, last, claim.taken);
                self.here = Some(Instant::now());
                Ok(())
            }
            Err(failed) => {
                answers.extend(letter.answers(None));
                Err(failed)
            }
        }
    }

    /// Sees to a connection, made anew after a failure. The numbers then go on from what is in the log, and of a transaction that may
    /// have been committed it is found out.
    fn connect(&mut self, waiting: &mut Vec<Entry>) -> Result<(), StoreError> {
        if self.session.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(());
        }
        self.session = None;
        self.member.failed(None);
        if let Some((at, why)) = &self.away
            && at.elapsed() < self.pause
        {
            return Err(StoreError::Server(why.clone()));
        }
        let (server, boot, is_shared, seen) = (self.server.clone(), self.boot, self.is_shared, self.member.seen());
        let connecting = async {
            let client = server.connect().await?;
            let claim = if is_shared {
                lease::join(&client, boot, seen).await?
            } else {
                lease::take(&client, boot, seen, &server.shown()).await?
            };
            Ok::<_, StoreError>((Session::new(client, &claim).await?, claim))
        };
        let connecting = self.runtime.block_on(async { tokio::time::timeout(UNANSWERED, connecting).await });
        let connecting = connecting.unwrap_or_else(|_| Err(unanswered()));
        match connecting {
            Ok((session, claim)) => {
                self.settle(&claim)?;
                self.resume(claim, waiting);
                self.session = Some(session);
                Ok(())
            }
            Err(error) => {
                if self.away.replace((Instant::now(), error.to_string())).is_some() {
                    self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                Err(error)
            }
        }
    }

    /// Finds out whether what was begun of what is kept is committed: before anything else is written, as its own number says so only as long as no
    /// later transaction of this process is.
    fn settle(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.settle(claim.written))
    }

    /// Takes up what the log says of this process.
    fn resume(&mut self, claim: Claim, waiting: &mut Vec<Entry>) {
        let Resumed { written, is_set_back } = self.member.connected(claim);
        waiting.drain(..written.min(waiting.len()));
        (self.looked, self.here, self.counted) = (None, None, None);
        if is_set_back {
            tracing::error!(
                seq = claim.seq,
                "the database has lost commits that were confirmed, as a standby does that is promoted: what they held is lost, and what was learnt from it is learnt anew"
            );
            self.told.zoos.forget();
            self.told.health.set_back.fetch_add(1, Ordering::Relaxed);
        }
        let Some(role) = self.member.role() else { return };
        self.tell(claim.seq);
        if self.told.role.send_replace(role) != role && self.is_shared {
            match role {
                Role::Holder => tracing::info!(seq = claim.seq, "this gateway holds the log now"),
                Role::Follower => tracing::info!("another gateway holds the log: this one follows"),
            }
        }
    }

    /// The log goes as far as this, as is seen at this moment.
    fn tell(&self, seq: u64) {
        self.told.commit.send_if_modified(|held| std::mem::replace(held, seq) != seq);
        self.told.health.hears();
    }

    /// Takes the log for the first time, or joins those that share it. Whoever had it and was killed has it for some seconds more.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        let (server, boot, is_shared) = (self.server.clone(), self.boot, self.is_shared);
        let (session, claim) = self.runtime.block_on(async {
            let mut client = server.connect().await?;
            super::tables::migrate(&mut client, &server.shown()).await?;
            let claim = if is_shared {
                lease::join(&client, boot, (0, 0)).await?
            } else {
                lease::wait(&client, boot, &server.shown()).await?
            };
            Ok::<_, StoreError>((Session::new(client, &claim).await?, claim))
        })?;
        self.settle(&claim)?;
        self.resume(claim, &mut Vec::new());
        self.session = Some(session);
        if is_shared { Ok(()) } else { self.take_all() }
    }

    /// Whoever has the log for itself finds in it all that gateways have sent before they went.
    fn take_all(&mut self) -> Result<(), StoreError> {
        loop {
            self.listen()?;
            let stretches = next(&std::mem::take(&mut self.news), 0, false, ROOM);
            if stretches.is_empty() {
                return Ok(());
            }
            let before = self.member.claim().map(|claim| claim.seq);
            match self.append(&stretches, &mut Vec::new(), Vec::new(), Vec::new(), &mut Vec::new()) {
                Err(Failed::Before(error) | Failed::AtCommit(error)) => return Err(error),
                // What is left is of a newer release.
                Ok(()) if self.member.claim().map(|claim| claim.seq) == before => return Ok(()),
                Ok(()) => {}
            }
        }
    }
}

/// Commits; whether it was done is not known if that fails.
async fn commit(client: &Client) -> Result<(), Failed> {
    match tokio::time::timeout(UNANSWERED, client.batch_execute("COMMIT")).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failed::AtCommit(error.into())),
        Err(_) => Err(Failed::AtCommit(unanswered())),
    }
}

fn unanswered() -> StoreError {
    StoreError::Server("it does not answer".to_owned())
}

impl Session {
    async fn new(client: Client, claim: &Claim) -> Result<Self, StoreError> {
        if claim.epoch.is_none() {
            return Ok(Self { client, known: None });
        }
        let (zoos, groups) = (ZooNumbers::load(&client).await?, GroupNumbers::load(&client).await?);
        let waiting = Waiting::load(&client).await?;
        Ok(Self { client, known: Some(Known { zoos, groups, waiting }) })
    }
}
