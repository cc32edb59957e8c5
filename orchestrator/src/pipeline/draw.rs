//! A plan for people: the graph drawn for a terminal.
//!
//! One step below the other, each after what it needs. To their left run lanes, one for each stream that is still to be
//! read; a lane forks where several steps read an output and joins where a step reads several.

use super::edges::Input;
use super::plan::{Plan, PlannedNode};
use arrow::datatypes::{FieldRef, SchemaRef};
use flight_common::StepKind;
use std::fmt::Write;

/// Columns of a terminal below which nothing can be drawn.
const NARROWEST: usize = 40;

impl Plan {
    /// The graph for a terminal of `width` columns: what feeds each step, and the columns that it gives.
    pub fn drawn(&self, width: usize) -> String {
        let mut drawing = Drawing { plan: self, width: width.max(NARROWEST), lanes: Vec::new(), text: String::new() };
        drawing.line("", &self.name);
        for place in 0..self.nodes.len() {
            drawing.node(place);
        }
        drawing.text
    }
}

struct Drawing<'a> {
    plan: &'a Plan,
    width: usize,
    /// In each lane, the step that its stream goes to.
    lanes: Vec<Option<usize>>,
    text: String,
}

impl Drawing<'_> {
    fn node(&mut self, place: usize) {
        let node = &self.plan.nodes[place];
        let own = self.joined(place);
        self.lanes[own] = None;
        self.close_lanes(own + 1);
        self.line(&self.cells(own, '●'), &self.title(node));
        let readers = self.readers(place);
        self.forked(own, &readers);
        for (name, schema) in &node.outputs {
            let label = if node.outputs.len() > 1 { format!("{name}: ") } else { String::new() };
            let room = self.width - (2 * self.lanes.len()).min(self.width / 2) - 2;
            for line in wrapped(self.columns(&label, node, schema), room) {
                self.line(&self.cells(usize::MAX, ' '), &line);
            }
        }
        self.close_lanes(0);
    }

    /// Takes away the last lanes, beyond the first `kept`, as far as nothing runs in them.
    fn close_lanes(&mut self, kept: usize) {
        while self.lanes.len() > kept && self.lanes.last().is_some_and(Option::is_none) {
            self.lanes.pop();
        }
    }

    /// `both  join  ◂ left: pay, right: people  (after check)`
    fn title(&self, node: &PlannedNode) -> String {
        let mut title = format!("{}  {}", node.id, node.step);
        let feeding = |input: &Input| match node.inputs.len() {
            1 => self.plan.label(input),
            _ => format!("{}: {}", input.name, self.plan.label(input)),
        };
        let inputs: Vec<String> = node.inputs.iter().map(feeding).collect();
        if !inputs.is_empty() {
            let _ = write!(title, "  ◂ {}", inputs.join(", "));
        }
        let after: Vec<&str> = node.after.iter().map(|before| self.plan.nodes[*before].id.as_str()).collect();
        if !after.is_empty() {
            let _ = write!(title, "  (after {})", after.join(", "));
        }
        if let Some(when) = &node.when {
            let _ = write!(title, "  (when {})", when.text());
        }
        if node.left_out {
            title += "  left out";
        }
        if node.finally {
            title += "  finally";
        }
        title
    }

    /// Brings the lanes that go to this step together, and says in which one it stands.
    fn joined(&mut self, place: usize) -> usize {
        let incoming: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane] == Some(place)).collect();
        let Some((&own, others)) = incoming.split_first() else {
            self.line(&self.cells(usize::MAX, ' '), "");
            return self.free_lane(0);
        };
        if others.is_empty() {
            self.line(&self.cells(usize::MAX, ' '), "");
        } else {
            let bridge = self.bridge(own, others, ('┴', '╯'));
            self.line(&bridge, "");
            for lane in others {
                self.lanes[*lane] = None;
            }
        }
        own
    }

    /// The steps that read this one, one for each stream.
    fn readers(&self, place: usize) -> Vec<usize> {
        let nodes = self.plan.nodes.iter().enumerate();
        nodes.flat_map(|(reader, node)| node.inputs.iter().filter(|it| it.node == place).map(move |_| reader)).collect()
    }

    /// Opens a lane for each reader: the first in the step's own lane.
    fn forked(&mut self, own: usize, readers: &[usize]) {
        let Some((first, others)) = readers.split_first() else { return };
        self.lanes[own] = Some(*first);
        let mut opened = Vec::new();
        for reader in others {
            let lane = self.free_lane(own + 1);
            self.lanes[lane] = Some(*reader);
            opened.push(lane);
        }
        if !opened.is_empty() {
            let bridge = self.bridge(own, &opened, ('┬', '╮'));
            self.line(&bridge, "");
        }
    }

    /// The first lane from `from` on that nothing runs in.
    fn free_lane(&mut self, from: usize) -> usize {
        let free = (from..self.lanes.len()).find(|lane| self.lanes[*lane].is_none());
        free.unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        })
    }

    /// All lanes as they pass, with `mark` in one of them.
    fn cells(&self, marked: usize, mark: char) -> String {
        let cell = |lane: usize| match self.lanes[lane] {
            _ if lane == marked => mark,
            Some(_) => '│',
            None => ' ',
        };
        (0..self.lanes.len()).flat_map(|lane| [cell(lane), ' ']).collect()
    }

    /// A line from lane `own` to those of `ends`, all to its right, across what passes between them.
    fn bridge(&self, own: usize, ends: &[usize], (between, last): (char, char)) -> String {
        let reach = ends.last().copied().unwrap_or(own);
        let cells = (0..self.lanes.len()).flat_map(|lane| {
            let cell = match self.lanes[lane] {
                _ if lane == own => '├',
                _ if lane == reach => last,
                _ if ends.contains(&lane) => between,
                Some(_) if lane > own && lane < reach => '┼',
                Some(_) => '│',
                None if lane > own && lane < reach => '─',
                None => ' ',
            };
            [cell, if lane >= own && lane < reach { '─' } else { ' ' }]
        });
        cells.collect()
    }

    /// `3 columns (−x +y): a: Int64, b: Utf8, …` in words that stay together; of a step that lets all columns pass,
    /// whose they are.
    fn columns(&self, label: &str, node: &PlannedNode, schema: &SchemaRef) -> Vec<String> {
        let count = match schema.fields().len() {
            1 => "1 column".to_owned(),
            count => format!("{count} columns"),
        };
        let before = match node.inputs.as_slice() {
            [input] if node.kind != StepKind::Load => self.plan.schema_of(input).map(|before| (input, before)),
            _ => None,
        };
        let head = match before {
            Some((input, before)) if before.fields() == schema.fields() => {
                return words(&format!("{label}{count}, those of {}", self.plan.label(input)));
            }
            Some((_, before)) => format!("{label}{count}{}:", change(before, schema)),
            None => format!("{label}{count}:"),
        };
        let last = schema.fields().len().saturating_sub(1);
        let column = |(place, field): (usize, &FieldRef)| {
            let comma = if place == last { "" } else { "," };
            format!("{}: {}{comma}", field.name(), field.data_type())
        };
        let mut words = words(&head);
        words.extend(schema.fields().iter().enumerate().map(column));
        words
    }

    /// A line, cut to the width, of which lanes take no more than half. A column's name is whatever its source says: it
    /// may not command the terminal.
    fn line(&mut self, lanes: &str, text: &str) {
        let line = format!("{}{text}", cut(lanes, self.width / 2)).replace(char::is_control, "\u{fffd}");
        self.text.push_str(&cut(line.trim_end(), self.width));
        self.text.push('\n');
    }
}

/// ` (−x +y)`: the columns that went and those that came, by name.
fn change(before: &SchemaRef, after: &SchemaRef) -> String {
    let names = |of: &SchemaRef, not_in: &SchemaRef, sign: &str| {
        let names = of.fields().iter().map(|field| field.name()).filter(|name| not_in.index_of(name).is_err());
        names.map(|name| format!("{sign}{name}")).collect::<Vec<_>>()
    };
    let mut changes = names(before, after, "−");
    changes.extend(names(after, before, "+"));
    if changes.is_empty() { String::new() } else { format!(" ({})", changes.join(" ")) }
}

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Words in lines of `width` characters, all but the first indented.
fn wrapped(words: Vec<String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            None => lines.push(word),
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) => lines.push(format!("  {word}")),
        }
    }
    lines
}
