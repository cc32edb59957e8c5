//! All pages, one after the other, as blocks of records.
//!
//! A request may be repeated as long as none of its rows has left: so the beginning of a page is held back until the page
//! is whole, or longer than [`HELD`]. A longer one is passed on as it comes, and a failure later on it is a fault: asking
//! again would give its rows twice.

use crate::decode::Block;
use crate::failure::{Again, Failure, pause};
use crate::fetch::{Answer, Fetcher, Head, wait};
use crate::options::Options;
use crate::split::Splitter;
use crate::target::{Ask, host};
use crate::trouble::At;
use crate::turn::{Paging, Turned, Turns};
use flight_common::outbound::AllowList;
use flight_common::{Fault, MemoryBudget, Meter, Reservation};
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a page that are held back, at most; less where the memory is small.
const HELD: usize = 8 << 20;

/// Reads pages.
pub struct Pages {
    options: Arc<Options>,
    fetcher: Fetcher,
    turns: Turns,
    budget: MemoryBudget,
    page: Page,
    /// The number of the page.
    number: u64,
    /// Rows of the pages before it.
    rows: u64,
    /// Whether rows leave as soon as they come.
    eager: bool,
}

/// The page that is being read.
struct Page {
    ask: Ask,
    tries: u32,
    open: Option<(Answer, Splitter)>,
    /// What the answer holds until its record is whole.
    kept: Reservation,
    ready: VecDeque<Block>,
    held: usize,
    /// Records found on it.
    records: u64,
    /// Whether its rows may leave.
    released: bool,
    /// Whether some have left: then it is not asked for again.
    has_left: bool,
    /// What it was, once it is whole.
    whole: Option<Turned>,
}

impl Page {
    fn new(ask: Ask, budget: &MemoryBudget) -> Self {
        Self {
            ask,
            tries: 0,
            open: None,
            kept: budget.reservation(),
            ready: VecDeque::new(),
            held: 0,
            records: 0,
            released: false,
            has_left: false,
            whole: None,
        }
    }
}

impl Pages {
    /// The pages of a request. Nothing is sent before the first block is asked for.
    ///
    /// # Errors
    /// Why no request can be sent from this machine.
    pub fn new(
        options: Arc<Options>,
        allowed: &AllowList,
        budget: &MemoryBudget,
        meter: Option<Arc<Meter>>,
    ) -> Result<Self, Fault> {
        let fetcher = Fetcher::new(&options, allowed, meter)?;
        let turns = Turns::new(options.paging.clone());
        let page = Page::new(turns.first(&options.target), budget);
        Ok(Self { options, fetcher, turns, budget: budget.clone(), page, number: 1, rows: 0, eager: false })
    }

    /// Lets rows leave as soon as they come, for one who only looks: seeing some of them twice does no harm there.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }

    /// The next block; nothing after the last page.
    ///
    /// # Errors
    /// Why there is neither.
    pub async fn next(&mut self) -> Result<Option<Block>, Fault> {
        loop {
            if let Some(block) = self.next_of_page().await? {
                return Ok(Some(block));
            }
            if !self.turn()? {
                return Ok(None);
            }
        }
    }

    /// The next block of this page; nothing at its end.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn next_of_page(&mut self) -> Result<Option<Block>, Fault> {
        loop {
            if self.page.released
                && let Some(block) = self.page.ready.pop_front()
            {
                self.page.has_left = !self.eager;
                return Ok(Some(block));
            }
            if self.page.whole.is_some() {
                return Ok(None);
            }
            if let Err(failure) = self.go_on().await {
                self.again(failure).await?;
            }
        }
    }

    /// Opens the page, or reads a piece of it.
    async fn go_on(&mut self) -> Result<(), Failure> {
        let Some((answer, splitter)) = &mut self.page.open else {
            let answer = self.fetcher.open(&self.page.ask).await?;
            if self.is_end(&answer.head)? {
                let url = answer.head.url;
                self.page.whole = Some(Turned { url, links: Vec::new(), records: 0, frame: Value::Null });
                return Ok(());
            }
            let splitter = Splitter::new(&self.options, &answer.head)?;
            self.page.open = Some((answer, splitter));
            return Ok(());
        };
        match self.fetcher.read(answer).await? {
            Some(bytes) => splitter.push(&bytes)?,
            None => {
                let frame = splitter.end()?;
                let (url, links) = (answer.head.url.clone(), std::mem::take(&mut answer.head.links));
                self.page.whole = Some(Turned { url, links, records: 0, frame });
            }
        }
        self.gather();
        Ok(())
    }

    /// Whether an answer says that there are no more pages, by having no content.
    ///
    /// # Errors
    /// A success that is not all that was asked for.
    fn is_end(&self, head: &Head) -> Result<bool, Fault> {
        let paging = &self.options.paging;
        match head.status {
            StatusCode::NO_CONTENT
                if self.number > 1 && matches!(paging, Paging::Page { .. } | Paging::Offset { .. }) =>
            {
                Ok(true)
            }
            // A page may be a part of something larger.
            StatusCode::PARTIAL_CONTENT if !matches!(paging, Paging::One) => Ok(false),
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT => {
                let message = format!("{} answers {}: it is not all that was asked for", host(&head.url), head.status);
                Err(Fault::bad_data(message)
                    .help("does the address, with its parameters, give the data? set `pagination` for pages"))
            }
            _ => Ok(false),
        }
    }

    /// Takes what the splitter has found.
    fn gather(&mut self) {
        let page = &mut self.page;
        let Some((_, splitter)) = &mut page.open else { return };
        while let Some(records) = splitter.take() {
            let mut booked = self.budget.reservation();
            booked.grow(records.bytes.capacity() + records.ends.capacity() * size_of::<usize>());
            page.held += records.bytes.len();
            let at = At { page: self.number, record: page.records + 1, row: self.rows + page.records + 1 };
            page.records += records.len() as u64;
            page.ready.push_back(Block { records, at, booked: Arc::new(booked) });
        }
        let kept = splitter.kept();
        page.kept.shrink(page.kept.bytes());
        page.kept.grow(kept);
        if let Some(whole) = &mut page.whole {
            whole.records = page.records;
            page.kept.shrink(kept);
            page.open = None;
        }
        page.released |= self.eager || page.whole.is_some() || page.held > HELD.min(self.budget.limit() / 4);
    }

    /// Turns the page, and says whether there is another.
    fn turn(&mut self) -> Result<bool, Fault> {
        let Some(turned) = self.page.whole.take() else { return Ok(false) };
        self.fetcher.count("pages", 1);
        self.rows += self.page.records;
        let next = self.turns.next(&turned, &self.options.target);
        let Some(ask) = next.map_err(|fault| self.told(fault))? else {
            if let Some(path) = self.turns.unnamed(&turned) {
                self.fetcher
                    .warn(format!("there is one page alone: it has nothing at {path}, where the next is looked for"));
            }
            return Ok(false);
        };
        if self.number >= self.options.max_pages {
            let message = format!("there are more than {} pages", self.options.max_pages);
            return Err(
                Fault::bad_data(message).help("raise `max_pages`, or ask for larger pages; or are all pages the same?")
            );
        }
        self.number += 1;
        self.page = Page::new(ask, &self.budget);
        Ok(true)
    }

    /// Waits for another try, if one is to be made.
    async fn again(&mut self, failure: Failure) -> Result<(), Fault> {
        let delay = match failure.again {
            Again::Never => return Err(self.told(failure.fault)),
            _ if self.page.has_left || self.page.tries >= self.options.limits.retries => {
                return Err(self.in_vain(failure.fault));
            }
            Again::Soon => pause(self.page.tries, rand::random()),
            Again::After(delay) => delay,
        };
        let (tries, ask) = (self.page.tries + 1, self.page.ask.clone());
        self.page = Page { tries, ..Page::new(ask, &self.budget) };
        self.fetcher.count("retries", 1);
        match wait(delay, self.fetcher.deadline()).await {
            true => Ok(()),
            false => {
                let help = "the pause before the next try would outlast `timeout_seconds`: raise it, or run again then";
                Err(self.told(failure.fault.help(help)))
            }
        }
    }

    /// A fault after which no try is left, with how many there were.
    fn in_vain(&self, fault: Fault) -> Fault {
        match self.page.tries {
            0 => self.told(fault),
            more => {
                let message = format!("{}, at the last of {} tries", fault.message(), more + 1);
                self.told(worded(&fault, message))
            }
        }
    }

    /// A fault with its page, where there are several.
    fn told(&self, fault: Fault) -> Fault {
        match self.number {
            1 => fault,
            number => worded(&fault, format!("page {number}: {}", fault.message())),
        }
    }
}

/// The same fault in other words.
fn worded(fault: &Fault, message: String) -> Fault {
    let other = Fault::new(fault.kind(), message).with_violations(fault.violations().to_vec());
    let other = fault.help_text().into_iter().fold(other, Fault::help);
    fault.retry_delay().into_iter().fold(other, Fault::retry_after)
}
