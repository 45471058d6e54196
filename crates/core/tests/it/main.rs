//! What `ai-core` promises, as tests. Each module is a table of cases and what must come of them:
//! the pure ones first, then both clients against a server.

mod answers;
mod clients;
mod clock;
mod contract;
mod scripts;
mod sse;
mod stream;
mod twins;
