//! Each stage by itself: `cargo bench --bench stages`, or with a part of a name behind it.

mod flows;
mod stages;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use flows::{Shape, flow};
use r5flow::catalog::Catalog;
use r5flow::package::{Disk, load};
use r5flow::source::{Source, SourceId};
use r5flow::{fmt, syntax};

const AUTOSCALE: &str = "workflows/red5/autoscale.r5flow";
const STEPS: usize = 1_000;

fn source(text: &str) -> Source {
    Source::new(SourceId(0), "bench.r5flow", text)
}

/// The flow that people write.
fn autoscale(c: &mut Criterion) {
    let catalog = Catalog::embedded();
    let text = std::fs::read_to_string(AUTOSCALE).expect("the flow is there");
    let text = source(&text);
    let mut group = c.benchmark_group("autoscale");
    group.bench_function("parse", |b| b.iter(|| black_box(syntax::parse(&text))));
    group.bench_function("fmt", |b| b.iter(|| black_box(fmt::format(&text))));
    group.bench_function("load", |b| b.iter(|| black_box(load(AUTOSCALE, &Disk))));
    let (program, _) = load(AUTOSCALE, &Disk).expect("the flow is there");
    group.bench_function("check", |b| {
        b.iter(|| black_box(stages::checked(&program, &catalog)));
    });
    group.bench_function("check, catalogue cold", |b| {
        b.iter(|| black_box(stages::checked(&program, &Catalog::embedded())));
    });
    group.finish();
}

fn catalogue(c: &mut Criterion) {
    let mut group = c.benchmark_group("catalogue");
    group.bench_function("open", |b| b.iter(|| black_box(Catalog::embedded())));
    group.bench_function("open and decode a collection", |b| {
        b.iter(|| black_box(Catalog::embedded().collection("compute.instances")));
    });
    group.finish();
}

/// A thousand steps of every shape.
fn steps(c: &mut Criterion) {
    let catalog = Catalog::embedded();
    for shape in Shape::ALL {
        let id = |stage: &str| BenchmarkId::new(stage, shape.name());
        let text = source(&flow(shape, STEPS));
        let program = stages::load(&text.text);
        let checked = stages::checked(&program, &catalog);
        let mut group = c.benchmark_group("1000 steps");
        group.bench_function(id("parse"), |b| b.iter(|| black_box(syntax::parse(&text))));
        group.bench_function(id("fmt"), |b| b.iter(|| black_box(fmt::format(&text))));
        group.bench_function(id("check"), |b| {
            b.iter(|| black_box(stages::checked(&program, &catalog)));
        });
        group.bench_function(id("graph"), |b| {
            b.iter(|| black_box(stages::graph(&checked)))
        });
        group.bench_function(id("run in memory"), |b| {
            b.iter_batched(
                || stages::graph(&checked),
                |graph| stages::run_in_memory(&program, graph, &catalog),
                BatchSize::LargeInput,
            );
        });
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = stages::write(folder.path(), &text.text);
        group.bench_function(id("run durably"), |b| {
            b.iter_batched(
                || tempfile::tempdir_in(folder.path()).expect("a temporary directory"),
                |state| stages::run_durably(&file, state.path(), &catalog),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = all;
    config = short();
    targets = autoscale, catalogue, steps
}
criterion_main!(all);
