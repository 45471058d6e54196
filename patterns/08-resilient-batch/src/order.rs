//! Which line may be written next: pure, and shared by both versions.

use std::collections::BTreeMap;

/// Puts what is finished in any order into the order of its numbers.
///
/// What comes early is held until all before it have come. It never holds more than may be under
/// way at one time, since the reader of the input waits for a place, and a place is free again only
/// when its line has been let out.
#[derive(Debug)]
pub struct Order<T> {
    next: u64,
    held: BTreeMap<u64, T>,
}

impl<T> Default for Order<T> {
    fn default() -> Order<T> {
        let held = BTreeMap::new();
        Order { next: 0, held }
    }
}

impl<T> Order<T> {
    /// Takes an item that is finished, and lets out all items whose turn has come.
    pub fn put(&mut self, number: u64, item: T) -> Vec<T> {
        self.held.insert(number, item);
        let mut out = Vec::new();
        while let Some(item) = self.held.remove(&self.next) {
            self.next += 1;
            out.push(item);
        }
        out
    }

    /// Lets out all that is left: nothing that would go before it will ever come.
    pub fn rest(&mut self) -> Vec<T> {
        std::mem::take(&mut self.held).into_values().collect()
    }
}
