//! A bucket as data root, against a real server that speaks S3: the same pipelines and equal results, and what becomes of
//! them when the bucket is wrong, slow, changed or gone.

mod copies;
mod gate;
mod harms;
mod house;
mod pipelines;
mod users;
