//! Single flight: a caller that asks for what is being asked for already waits for that answer. Shared
//! by both versions.
//!
//! A flight is a cell that is filled once: `OnceLock` of std where threads wait, `OnceCell` of tokio
//! where tasks do. Both do by themselves what is hard about it: the first caller fills the cell, the
//! others wait; if the first panics or is cancelled, the next in line tries. So all that is left to do
//! here is to have one cell a key, until the caller that has filled it leaves, and no longer: a cell
//! that stayed would be a cache whose answers never end.
//!
//! Not moka's `try_get_with`, which is a cache and a flight in one. It keeps every `Ok`, so what must
//! not be kept has to leave as an error; and a caller that has seen 200 others be cancelled panics.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::Key;

/// The flights under way.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<Map>);

/// The cell's type is part of the key, since callers may differ in their type of error.
type Map = HashMap<(Key, TypeId), Flight>;

#[derive(Debug)]
struct Flight {
    cell: Arc<dyn Any + Send + Sync>,
    seats: usize,
}

impl Flights {
    /// Takes a seat in the flight for `key`. If there is none, it begins now.
    pub(crate) fn join<C: Default + Send + Sync + 'static>(&self, key: &Key) -> Seat<'_, C> {
        let id = (*key, TypeId::of::<C>());
        let mut map = self.lock();
        let flight = map.entry(id).or_insert_with(|| Flight {
            cell: Arc::new(C::default()),
            seats: 0,
        });
        flight.seats += 1;
        let cell = flight.cell.clone().downcast();
        Seat {
            flights: self,
            id,
            cell: cell.expect("its type is in its key"),
            lands: false,
        }
    }

    /// How many seats are taken.
    pub(crate) fn callers(&self) -> usize {
        self.lock().values().map(|flight| flight.seats).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Nothing panics under it that could leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat in a flight. It is used like the cell that all in the flight share.
pub(crate) struct Seat<'a, C: Send + Sync + 'static> {
    flights: &'a Flights,
    id: (Key, TypeId),
    cell: Arc<C>,
    /// Whether the flight ends with this seat, however it is left: for the caller that has filled the
    /// cell.
    pub(crate) lands: bool,
}

impl<C: Send + Sync> Seat<'_, C> {
    /// This flight, unless it has landed. By now there may be another for the same key.
    fn flight<'m>(&self, map: &'m mut Map) -> Option<&'m mut Flight> {
        let ours = Arc::as_ptr(&self.cell);
        map.get_mut(&self.id)
            .filter(|flight| std::ptr::addr_eq(Arc::as_ptr(&flight.cell), ours))
    }
}

impl<C: Send + Sync> Deref for Seat<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.cell
    }
}

/// A caller that leaves early, cancelled or in a panic, leaves the flight to the others. The last one to
/// leave ends it, and a later caller begins another.
impl<C: Send + Sync> Drop for Seat<'_, C> {
    fn drop(&mut self) {
        let mut map = self.flights.lock();
        if let Some(flight) = self.flight(&mut map) {
            flight.seats -= 1;
            if flight.seats == 0 || self.lands {
                map.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    #[test]
    fn nothing_stays_of_a_flight_that_all_have_left() {
        let (flights, key) = (
            Flights::default(),
            crate::chat_key(&ai_core::ChatRequest::new("", ""), &crate::Scope::new("")),
        );
        let seats = [(); 3].map(|()| flights.join::<OnceLock<u8>>(&key));
        assert_eq!(flights.callers(), 3);
        drop(seats);
        assert!(flights.lock().is_empty());
    }
}
