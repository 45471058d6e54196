//! `cargo xtask speedups`: measures what README and docs claim, and writes it down once.
//!
//! The quick set of benches prints figures; [`results`] keeps them in docs/results.json; from that
//! are made the tables of docs/src/benchmarks.md ([`page`]), the [`charts`] and the figures that
//! other pages quote ([`quote`]). [`rules`] are tidy's: nothing of this may differ from the results,
//! nor the results from the [`sources`] they were measured from.

pub mod set;

pub mod results;
pub mod unit;

pub mod quote;

pub mod page;

pub mod charts;
pub mod draw;

pub mod rules;
pub mod sources;

mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use quote::{Mistake, PAGE};
use results::{Line, Machine, PATH, Results, Run, bench_of};
use set::{Bench, SET};
use unit::Unit;

use crate::tidy::Tree;
use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, say, shown, spoken, warn};

/// What to do.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Measures just this, and keeps the figures of the others
    #[arg(long, value_name = "NAME", value_parser = names())]
    pub only: Vec<String>,
    /// Measures what is not quick as well: half an hour, and other people's clients are downloaded
    #[arg(long, conflicts_with_all = ["only", "accept", "no_run"])]
    pub all: bool,
    /// Measures nothing: says that changes of the sources can't have moved the figures of this
    #[arg(long, value_name = "NAME", value_parser = names(), conflicts_with = "only")]
    pub accept: Vec<String>,
    /// Measures nothing: makes tables, charts and quoted figures from the results there are
    #[arg(long, conflicts_with_all = ["only", "accept"])]
    pub no_run: bool,
}

fn names() -> PossibleValuesParser {
    SET.map(|bench| bench.name).into()
}

/// Of the machine, before a bench. What is busier makes figures of something else than ours.
const QUIET: f64 = 0.1;

/// Runs the benches and writes results, page, charts and quoted figures.
///
/// # Errors
/// When a bench does not build or fails, `only` would mix figures of two machines, or a page quotes
/// what no figure says.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let tree = Tree::read(workspace)?;
    let old = tree.files.get(PATH).map(|text| Results::parse(text));
    let old = old.transpose()?;
    let results = if options.no_run || !options.accept.is_empty() {
        let missing = format!("there is no {PATH} yet; run `cargo xtask speedups`");
        let mut results = old.ok_or(missing)?;
        for name in &options.accept {
            accept(name, &mut results, &tree)?;
        }
        results
    } else {
        measure(workspace, options, old, &tree)?
    };
    save(workspace, &results)?;
    // Read again: somebody may have written on a page while we measured.
    publish(workspace, &results, &Tree::read(workspace)?)
}

/// Takes the sources as they are for those that a bench's figures were measured from.
fn accept(name: &str, results: &mut Results, tree: &Tree) -> Result {
    let bench = SET.iter().find(|bench| bench.name == name);
    let (bench, run) = bench
        .zip(results.benches.get_mut(name))
        .ok_or(format!("{PATH} has no figures of {name}"))?;
    let sources = digests(bench, tree)?;
    if run.sources == sources {
        return Err(
            format!("the sources of {name} have not changed: there is nothing to accept").into(),
        );
    }
    run.sources = sources;
    run.accepted = Some(machine::today());
    Ok(())
}

fn digests(bench: &Bench, tree: &Tree) -> Result<BTreeMap<String, String>> {
    let digests = bench.sources.iter().map(|source| {
        let digest = sources::digest(tree, source);
        let digest = digest.ok_or(format!("{}: there is no source {source}", bench.name))?;
        Ok(((*source).to_owned(), digest))
    });
    digests.collect()
}

fn measure(
    workspace: &Workspace,
    options: &Options,
    old: Option<Results>,
    tree: &Tree,
) -> Result<Results> {
    let mut results = beginning(workspace, options, old)?;
    let asked = |bench: &&Bench| match options.only.as_slice() {
        [] => bench.quick || options.all,
        names => names.iter().any(|name| name == bench.name),
    };
    let benches: Vec<&Bench> = SET.iter().filter(asked).collect();
    // All first, so that no compiler runs beside what is measured.
    for bench in &benches {
        run_command(
            cargo()
                .args(bench.arguments(false))
                .current_dir(&workspace.root),
        )?;
    }
    let start = Instant::now();
    for bench in benches {
        let begun = Instant::now();
        let (mut run, lines) = measure_one(workspace, bench)?;
        // As they were when it was built.
        run.sources = digests(bench, tree)?;
        let count = lines.len();
        results.replace(bench.name, run, lines)?;
        // Now, not at the end: a failure of the next loses nothing.
        save(workspace, &results)?;
        let took = spoken(begun.elapsed());
        say(format_args!("{}: {count} figures in {took}", bench.name));
    }
    say(format_args!("measured in {}", spoken(start.elapsed())));
    Ok(results)
}

/// The results to begin with: the old ones, if they may stand beside new ones.
fn beginning(workspace: &Workspace, options: &Options, old: Option<Results>) -> Result<Results> {
    let lock = |path| fs::read_to_string(workspace.root.join(path));
    let locks = [lock("benches/peers/Cargo.lock")?, lock("Cargo.lock")?];
    let new = Results {
        command: "cargo xtask speedups".to_owned(),
        machine: Machine::this(),
        versions: machine::versions(&locks),
        ..Results::default()
    };
    match old {
        Some(old) if old.machine == new.machine && old.versions == new.versions => Ok(old),
        // On one page they would be compared, whatever stood beside them.
        Some(_) if !options.only.is_empty() => Err(format!(
            "{PATH} is of another machine or other versions, and figures of both would be mixed; \
             run `cargo xtask speedups` first, for all that is quick"
        )
        .into()),
        Some(_) => {
            if !options.all {
                warn(format_args!(
                    "{PATH} is of another machine or other versions: it is begun anew; with `--all` \
                     what is not quick is measured again as well"
                ));
            }
            Ok(new)
        }
        None => Ok(new),
    }
}

/// Runs a bench: how it went, but for the sources, and its figures.
fn measure_one(workspace: &Workspace, bench: &Bench) -> Result<(Run, Vec<Line>)> {
    let busy = machine::busy();
    if let Some(busy) = busy.filter(|busy| *busy > QUIET) {
        let busy = Unit::Share.show(busy);
        warn(format_args!(
            "{busy} of the machine is busy with other things, of which the figures will tell too"
        ));
    }
    let mut command = cargo();
    command
        .args(bench.arguments(true))
        .current_dir(&workspace.root);
    let shown = shown(&command);
    warn(format_args!("$ {shown}"));
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed ({})", output.status).into());
    }
    let run = Run {
        date: machine::today(),
        command: shown,
        busy,
        sources: BTreeMap::new(),
        accepted: None,
    };
    Ok((run, json_lines(&String::from_utf8(output.stdout)?)?))
}

/// What `--json` prints.
fn json_lines(stdout: &str) -> Result<Vec<Line>> {
    let lines = stdout.lines().map(|line| {
        let read = serde_json::from_str(line);
        read.map_err(|error| format!("`{line}` is no figure: {error}").into())
    });
    lines.collect()
}

fn save(workspace: &Workspace, results: &Results) -> Result {
    write(workspace, PATH, &results.to_json()?)
}

/// Makes page, charts and quoted figures from the results.
fn publish(workspace: &Workspace, results: &Results, tree: &Tree) -> Result {
    let mut files = made(results, tree)?;
    let (mut wrong, mut unmeasured) = (Vec::new(), BTreeSet::new());
    for (path, text) in tree.files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let text = files.get(path).unwrap_or(text);
        let (corrected, mistakes) = quote::corrected_page(path, text, results);
        for Mistake { id, why } in mistakes {
            let bench = SET.iter().find(|bench| bench.name == bench_of(&id));
            match bench.filter(|bench| !results.benches.contains_key(bench.name)) {
                Some(bench) => {
                    unmeasured.insert(bench.name);
                }
                None => wrong.push(format!("{path}: {why}")),
            }
        }
        files.insert(path.clone(), corrected);
    }
    for (path, text) in files {
        if tree.files.get(&path) != Some(&text) {
            write(workspace, &path, &text)?;
            say(format_args!("wrote {path}"));
        }
    }
    if !unmeasured.is_empty() {
        let benches = Vec::from_iter(unmeasured).join(", ");
        warn(format_args!(
            "figures of {benches} are quoted, were not measured, and still say what they said; with \
             `--all` they are measured too"
        ));
    }
    for why in &wrong {
        warn(why);
    }
    match wrong.len() {
        0 => Ok(()),
        count => Err(format!("{count} quoted figures need your own words, listed above").into()),
    }
}

/// The page and the charts, as these results make them, by their paths.
///
/// # Errors
/// When the page has not all the markers it needs.
fn made(results: &Results, tree: &Tree) -> Result<BTreeMap<String, String>> {
    let page = tree.files.get(PAGE).ok_or(format!("there is no {PAGE}"))?;
    let page = page::render(page, results)?;
    let (page, _) = quote::corrected_page(PAGE, &page, results);
    let mut made = BTreeMap::from([(PAGE.to_owned(), page)]);
    for bench in results.benches.keys() {
        let charts = charts::of(bench, results)?;
        made.extend(
            charts
                .into_iter()
                .map(|chart| (chart_path(chart.name), chart.svg)),
        );
    }
    Ok(made)
}

fn chart_path(name: &str) -> String {
    format!("docs/src/charts/{name}.svg")
}

/// Writes a file whole or not at all: a pen that dries up in the middle would lose measured figures.
fn write(workspace: &Workspace, path: &str, text: &str) -> Result {
    let path = workspace.root.join(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(new, path)?)
}
