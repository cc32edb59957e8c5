//! Pipelines from text to plan, over small real steps: every mistake with its place, and what a plan shows.

mod flow;
mod forms;
mod graphs;
mod hooks;
mod params;
mod plans;
mod shown;
mod steps;
