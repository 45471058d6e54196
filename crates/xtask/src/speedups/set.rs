//! The benches that `cargo xtask speedups` runs, and what their figures depend on.

/// A program that measures, and prints a line of JSON for each figure.
#[derive(Debug)]
pub struct Bench {
    /// What the ids of its figures begin with. The last part is its name for cargo.
    pub name: &'static str,
    /// What cargo calls it.
    pub kind: Kind,
    /// What it is told beside `--json`.
    pub options: &'static [&'static str],
    /// Whether it is of the quick set. What is not is run by `--only` alone.
    pub quick: bool,
    /// Files and folders whose code its figures depend on. When it changes, tidy asks for a new run.
    ///
    /// They are what is measured and what measures it. The mock is left out, though every figure
    /// needs it: it is the ruler, in a process of its own, and each ratio is of two runs against
    /// it. With it in, a new fault for a test of streams would cost a run of everything.
    pub sources: &'static [&'static str],
}

/// What cargo tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `cargo run --bin`.
    Program,
    /// `cargo run --bin` in the workspace of other people's clients, benches/peers.
    Peer,
    /// `cargo bench --bench`, of whose measurements by criterion `--json` makes none.
    Bench,
}

/// The manifest of the workspace of [`Kind::Peer`].
const PEERS: &str = "benches/peers/Cargo.toml";

impl Bench {
    /// Its name for cargo.
    fn target(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }

    /// What cargo is told to build it, or to run it.
    pub fn arguments(&self, run: bool) -> Vec<&'static str> {
        let mut arguments = match (self.kind, run) {
            (Kind::Program | Kind::Peer, false) => vec!["build", "--release"],
            (Kind::Program | Kind::Peer, true) => vec!["run", "--release"],
            (Kind::Bench, false) => vec!["bench", "--no-run"],
            (Kind::Bench, true) => vec!["bench"],
        };
        arguments.push("--locked");
        arguments.extend(match self.kind {
            Kind::Program => ["-p", "benches", "--bin"].as_slice(),
            Kind::Peer => &["--manifest-path", PEERS, "--bin"],
            Kind::Bench => &["-p", "benches", "--bench"],
        });
        arguments.push(self.target());
        if run {
            arguments.push("--");
            arguments.extend(self.options);
            arguments.push("--json");
        }
        arguments
    }
}

/// All of them. Those of the quick set take five minutes on two cores. The peers are not of it: what
/// they are built from is other people's, and has to be downloaded first.
pub const SET: [Bench; 20] = [
    Bench {
        name: "guide",
        kind: Kind::Program,
        options: &[],
        quick: true,
        sources: &[
            "benches/src/bin/guide.rs",
            "crates/demo/src/scene.rs",
            "patterns/02-concurrent-requests/src",
            "patterns/05-multi-service/src",
        ],
    },
    Bench {
        name: "in-flight",
        kind: Kind::Program,
        // With the five that are its default it takes as long as all the others.
        options: &["--runs", "3"],
        quick: true,
        sources: &[
            "benches/src/bare.rs",
            "benches/src/bin/in_flight.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/chat.rs",
            "crates/core/src/protocol/usage.rs",
            "crates/core/src/sync.rs",
            "patterns/02-concurrent-requests/src",
        ],
    },
    Bench {
        name: "overhead",
        kind: Kind::Program,
        // `peers/clients` measures the same with more clients, and more often.
        options: &["--pairs", "15"],
        quick: true,
        sources: &[
            "benches/src/bare.rs",
            "benches/src/bin/overhead.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/chat.rs",
            "crates/core/src/protocol/usage.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "allocations",
        kind: Kind::Program,
        options: &[],
        quick: true,
        sources: &[
            "benches/src/bare.rs",
            "benches/src/bin/allocations.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/chat.rs",
            "crates/core/src/protocol/sse.rs",
            "crates/core/src/protocol/stream.rs",
            "crates/core/src/protocol/usage.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "single-request",
        kind: Kind::Bench,
        options: &[],
        quick: true,
        sources: &[
            "benches/benches/single_request.rs",
            "crates/core/src/async.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "streams",
        kind: Kind::Program,
        options: &["--runs", "1"],
        quick: true,
        sources: &[
            "benches/src/bin/streams.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/sse.rs",
            "crates/core/src/protocol/stream.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "many-streams",
        kind: Kind::Program,
        options: &[],
        // Most of it is the slow consumer's sleep.
        quick: false,
        sources: &[
            "benches/src/bin/many_streams.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/sse.rs",
            "crates/core/src/protocol/stream.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "rate-limit",
        kind: Kind::Program,
        options: &[],
        // Two and a half minutes, of which most is waiting.
        quick: false,
        sources: &[
            "benches/src/bin/rate_limit.rs",
            "patterns/03-rate-limited-batch/examples/as_written.rs",
            "patterns/03-rate-limited-batch/src",
        ],
    },
    Bench {
        name: "window-over-time",
        kind: Kind::Program,
        options: &[],
        quick: true,
        sources: &[
            "benches/src/bin/window_over_time.rs",
            "patterns/03-rate-limited-batch/examples/as_written.rs",
            "patterns/03-rate-limited-batch/src",
        ],
    },
    Bench {
        name: "multi-service",
        kind: Kind::Bench,
        options: &[],
        quick: true,
        sources: &[
            "benches/benches/multi_service.rs",
            "crates/core/src/protocol/embedding.rs",
            "patterns/05-multi-service/src",
        ],
    },
    Bench {
        name: "caching",
        kind: Kind::Bench,
        options: &[],
        quick: true,
        sources: &[
            "benches/benches/caching.rs",
            "crates/core/src/protocol/usage.rs",
            "patterns/06-caching/src",
        ],
    },
    Bench {
        // Nearly all in virtual time, and so the same on every machine.
        name: "retry",
        kind: Kind::Bench,
        options: &[],
        quick: true,
        sources: &[
            "benches/benches/retry.rs",
            "patterns/07-retry/examples/contention.rs",
            "patterns/07-retry/src",
        ],
    },
    Bench {
        name: "resilient-batch",
        kind: Kind::Bench,
        options: &[],
        quick: true,
        sources: &[
            "benches/benches/resilient_batch.rs",
            "crates/demo/src/scene.rs",
            "patterns/03-rate-limited-batch/src",
            "patterns/06-caching/src",
            "patterns/07-retry/src",
            "patterns/08-resilient-batch/src",
        ],
    },
    Bench {
        name: "peers/clients",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &[
            "benches/peers/src/bin/clients.rs",
            "benches/peers/src/lib.rs",
            "benches/src/bare.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/chat.rs",
            "crates/core/src/protocol/usage.rs",
            "crates/core/src/sync.rs",
        ],
    },
    Bench {
        name: "peers/fan-out",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &[
            "benches/peers/src/bin/fan_out.rs",
            "benches/peers/src/lib.rs",
            "benches/src/bare.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/chat.rs",
            "crates/core/src/protocol/usage.rs",
        ],
    },
    Bench {
        name: "peers/streams",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &[
            "benches/peers/src/bin/streams.rs",
            "crates/core/src/async.rs",
            "crates/core/src/call.rs",
            "crates/core/src/protocol/sse.rs",
            "crates/core/src/protocol/stream.rs",
        ],
    },
    Bench {
        name: "peers/decoder",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &[
            "benches/peers/src/bin/decoder.rs",
            "crates/core/src/protocol/sse.rs",
            "crates/core/src/protocol/stream.rs",
        ],
    },
    Bench {
        name: "peers/limiter",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &[
            "benches/peers/src/bin/limiter.rs",
            "patterns/03-rate-limited-batch/src",
        ],
    },
    Bench {
        name: "peers/cache",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &["benches/peers/src/bin/cache.rs", "patterns/06-caching/src"],
    },
    Bench {
        name: "peers/retry",
        kind: Kind::Peer,
        options: &[],
        quick: false,
        sources: &["benches/peers/src/bin/retry.rs", "patterns/07-retry/src"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speedups::sources::digest;
    use crate::tidy::Tree;
    use crate::workspace::Workspace;

    #[test]
    fn every_bench_and_every_source_is_there() {
        let workspace = Workspace::find().expect("the manifests are sound");
        let package = workspace.packages.iter().find(|it| it.name == "benches");
        let targets = &package.expect("it is a member").targets;
        let tree = Tree::read(&workspace).expect("the files can be read");
        for bench in &SET {
            let is = |kind: &str| {
                let mut targets = targets.iter();
                targets.any(|it| it.name == bench.target() && it.kind == [kind])
            };
            let known = match bench.kind {
                Kind::Program => is("bin"),
                Kind::Bench => is("bench"),
                // It is no member: cargo knows it by its file.
                Kind::Peer => {
                    let file = bench.target().replace('-', "_");
                    let path = format!("benches/peers/src/bin/{file}.rs");
                    tree.files.contains_key(&path)
                }
            };
            assert!(known, "{}", bench.name);
            for source in bench.sources {
                assert!(digest(&tree, source).is_some(), "{}: {source}", bench.name);
            }
        }
    }

    #[test]
    fn cargo_is_told_what_a_reader_would_type() {
        let told = |name: &str, run| {
            let bench = SET.iter().find(|bench| bench.name == name);
            bench.expect("it is in the set").arguments(run).join(" ")
        };
        assert_eq!(
            told("in-flight", true),
            "run --release --locked -p benches --bin in-flight -- --runs 3 --json"
        );
        assert_eq!(
            told("retry", true),
            "bench --locked -p benches --bench retry -- --json"
        );
        assert_eq!(
            told("retry", false),
            "bench --no-run --locked -p benches --bench retry"
        );
    }
}
