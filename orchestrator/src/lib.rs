//! The orchestrator's core: a pipeline read, checked against the live steps, and run.
//!
//! | where | what |
//! |---|---|
//! | [`pipeline`] | YAML with its places kept → graph → plan, and every error with its line |
//! | [`mesh`] | where steps are: in this process, or behind Flight |
//! | [`run`] | the engine: streams joined, tees, cancel, figures |
//! | [`store`] | what outlives the process: runs, pipelines, kept outputs, tokens |
//! | [`schedule`] | times by cron, in a time zone: pure |
//! | [`service`] | durable runs: queue, leases, retries, resume |
//! | [`outbound`] | requests to addresses that somebody else has chosen |
//! | [`access`] | who may call, at both doors |
//! | [`api`] | REST, for people, scripts and the web page |
//! | [`front`] | the Flight front door: steps, kept outputs, Flight SQL |
//! | `format` | rows in a format, for downloads and uploads |
//! | `tls` | the certificate of both doors |
//! | [`serve`] | all of it put together: `quiver up`, `quiver-orchestrator` |
//!
//! It knows the kit and no step: what it knows of steps it learns from their descriptions.

pub mod access;
pub mod api;
mod checksum;
mod format;
pub mod front;
pub mod mesh;
mod outbound;
pub mod pipeline;
pub mod run;
pub mod schedule;
mod seats;
pub mod serve;
pub mod service;
pub mod store;
mod tls;
