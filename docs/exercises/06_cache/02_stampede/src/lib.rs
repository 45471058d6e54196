//! Ten ask the same at once, and one pays: single flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ai_core::Error;
use tokio::sync::OnceCell;

/// The calls under way, by what they ask.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<String, Flight>>);

/// A cell that is filled once, with the answer or the error. All who ask the same share it.
///
/// `get_or_init` fills it, or waits for whoever is filling it. If he is dropped meanwhile, the next
/// one who waits tries.
pub type Flight = Arc<OnceCell<Result<String, Error>>>;

impl Flights {
    /// The answer to a prompt: from `call`, or from whoever is calling for the same.
    ///
    /// # Errors
    /// That of the one call that was made, for all who have waited for it.
    pub async fn ask<Fut>(&self, prompt: &str, call: impl FnOnce() -> Fut) -> Result<String, Error>
    where
        Fut: Future<Output = Result<String, Error>>,
    {
        // TODO: join the flight, fill its cell or wait for who is filling it, land.
        todo!(
            "{prompt:?}, {} bytes to call, {} flights",
            size_of_val(&call),
            self.count()
        )
    }

    /// The flight for this prompt. If there is none, it begins now.
    pub fn join(&self, prompt: &str) -> Flight {
        self.lock().entry(prompt.to_owned()).or_default().clone()
    }

    /// Ends this flight: whoever comes later begins another.
    pub fn land(&self, prompt: &str, flight: &Flight) {
        let mut flights = self.lock();
        // By now there may be another one for the same prompt: that one goes on.
        if flights
            .get(prompt)
            .is_some_and(|now| Arc::ptr_eq(now, flight))
        {
            flights.remove(prompt);
        }
    }

    /// How many flights are under way.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        // Nothing panics under it that could leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
