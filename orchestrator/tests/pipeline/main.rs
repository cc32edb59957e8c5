//! Pipelines from text to plan, over small real steps: every mistake with its place, and what a plan shows.

mod flow;
mod forms;
mod graphs;
mod params;
mod plans;
mod shown;
mod steps;
