//! One block of memory for everything a network needs, laid out before the first step.
//!
//! [`Layout`] collects what is wanted and when, and places it so that two pieces share memory only
//! if they are never needed at the same time. [`Arena`] is the block itself. Nothing here is
//! allocated or freed while a network runs.
//!
//! # Why the slices are sound
//! A [`Region`] can only come from a [`Layout`], which keeps pieces apart whose lives overlap (its
//! test proves it for every pair). A step reads and writes only regions alive during that step, each
//! through one slice at a time, and threads get disjoint rows of them. So the mutable slices that
//! [`View`] gives out never alias, as long as a step does not ask twice for the same rows.

use std::{marker::PhantomData, ops::Range};

/// Floats in a cache line; every region starts on one, so that no two threads share a line.
pub(crate) const LINE: usize = 16;

/// A piece of the arena, in floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    start: usize,
    len: usize,
}

impl Region {
    /// Number of floats.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// A part of it.
    pub(crate) fn part(self, range: Range<usize>) -> Region {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "a part lies inside its region"
        );
        Region {
            start: self.start + range.start,
            len: range.len(),
        }
    }

    #[cfg(test)]
    fn overlaps(self, other: Region) -> bool {
        self.start < other.start + other.len && other.start < self.start + self.len
    }
}

/// A moment of a training step: steps forward, the loss, steps backward, counted through.
pub(crate) type Moment = usize;

/// A wanted piece of memory, before it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

#[derive(Clone, Copy, Debug)]
struct Wanted {
    len: usize,
    first: Moment,
    last: Moment,
}

/// What is wanted and when.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    wanted: Vec<Wanted>,
}

/// Where everything lies.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    regions: Vec<Region>,
    /// Size of the arena, in floats.
    pub(crate) floats: usize,
}

impl Placed {
    /// The place of a wanted piece.
    pub(crate) fn region(&self, ticket: Ticket) -> Region {
        self.regions[ticket.0]
    }
}

impl Layout {
    /// Asks for `len` floats that must keep their values from `first` to `last`, both included.
    pub(crate) fn want(&mut self, len: usize, first: Moment, last: Moment) -> Ticket {
        self.wanted.push(Wanted { len, first, last });
        Ticket(self.wanted.len() - 1)
    }

    /// Asks for `len` floats that keep their values for ever.
    pub(crate) fn want_always(&mut self, len: usize) -> Ticket {
        self.want(len, 0, Moment::MAX)
    }

    /// Gives everything a place: the largest first, each as low as it fits.
    ///
    /// `None` if the sizes overflow. `O(pieces²)`.
    pub(crate) fn place(&self) -> Option<Placed> {
        let mut order: Vec<usize> = (0..self.wanted.len()).collect();
        order.sort_by_key(|index| (std::cmp::Reverse(self.wanted[*index].len), *index));
        let mut regions = vec![Region::default(); self.wanted.len()];
        let mut done: Vec<usize> = Vec::with_capacity(order.len());
        let mut floats = 0_usize;
        for index in order {
            let wanted = self.wanted[index];
            let mut busy: Vec<Region> = done
                .iter()
                .filter(|other| alive_together(wanted, self.wanted[**other]))
                .map(|other| regions[*other])
                .collect();
            busy.sort_by_key(|region| region.start);
            let start = lowest_gap(&busy, wanted.len)?;
            regions[index] = Region {
                start,
                len: wanted.len,
            };
            floats = floats.max(start.checked_add(whole_lines(wanted.len)?)?);
            done.push(index);
        }
        Some(Placed { regions, floats })
    }
}

fn alive_together(one: Wanted, other: Wanted) -> bool {
    one.first <= other.last && other.first <= one.last
}

fn whole_lines(len: usize) -> Option<usize> {
    len.div_ceil(LINE).checked_mul(LINE)
}

fn lowest_gap(busy: &[Region], len: usize) -> Option<usize> {
    let mut start = 0_usize;
    for region in busy {
        if start.checked_add(len)? <= region.start {
            break;
        }
        start = start.max(region.start.checked_add(whole_lines(region.len)?)?);
    }
    Some(start)
}

/// A cache line of floats.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// The memory of one network.
#[derive(Debug)]
pub(crate) struct Arena {
    lines: Vec<Line>,
}

impl Arena {
    /// Takes the memory, all zero.
    pub(crate) fn new(placed_floats: usize) -> Arena {
        Arena {
            lines: vec![Line([0.0; LINE]); placed_floats / LINE],
        }
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        (self.lines.capacity() * size_of::<Line>()) as u64
    }

    /// A way to its regions; borrows the arena mutably for as long as it lives.
    pub(crate) fn view(&mut self) -> View<'_> {
        let len = self.lines.len() * LINE;
        View {
            start: self.lines.as_mut_ptr().cast::<f32>(),
            len,
            arena: PhantomData,
        }
    }

    /// Reads a region while nothing runs.
    pub(crate) fn read(&self, region: Region) -> &[f32] {
        assert!(
            region.start + region.len <= self.lines.len() * LINE,
            "regions lie in the arena"
        );
        // SAFETY: in bounds by the assertion, initialised by `new`, and `&self` excludes writers.
        unsafe {
            std::slice::from_raw_parts(
                self.lines.as_ptr().cast::<f32>().add(region.start),
                region.len,
            )
        }
    }
}

/// The arena while a network runs; the threads of its crew share it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    start: *mut f32,
    len: usize,
    arena: PhantomData<&'a mut [f32]>,
}

// SAFETY: the view is a pointer to plain floats that it borrows exclusively; the module's header
// says why the slices that the threads take from it are disjoint.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl<'a> View<'a> {
    /// The values of a region, which nothing writes during this step.
    pub(crate) fn read(self, region: Region) -> &'a [f32] {
        assert!(
            region.start + region.len <= self.len,
            "regions lie in the arena"
        );
        // SAFETY: in bounds by the assertion; not written meanwhile by the header's rule.
        unsafe { std::slice::from_raw_parts(self.start.add(region.start), region.len) }
    }

    /// The values of a region, which nothing else reads or writes during this step.
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn write(self, region: Region) -> &'a mut [f32] {
        assert!(
            region.start + region.len <= self.len,
            "regions lie in the arena"
        );
        // SAFETY: in bounds by the assertion; exclusive by the header's rule.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(region.start), region.len) }
    }

    /// A region of exact sums: two floats of memory per `f64`.
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn write_doubles(self, region: Region) -> &'a mut [f64] {
        assert!(
            region.start.is_multiple_of(LINE) && region.len.is_multiple_of(2),
            "doubles start on a cache line"
        );
        assert!(
            region.start + region.len <= self.len,
            "regions lie in the arena"
        );
        // SAFETY: in bounds and aligned by the assertions, every bit pattern is an f64, and
        // exclusive by the header's rule.
        unsafe {
            let start = self.start.add(region.start).cast::<f64>();
            std::slice::from_raw_parts_mut(start, region.len / 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn pieces_alive_at_the_same_time_never_share_memory() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let mut layout = Layout::default();
            for _ in 0..40 {
                let first = rng.random_range(0..60);
                let last = first + rng.random_range(0..20);
                layout.want(rng.random_range(0..500), first, last);
            }
            let placed = layout.place().expect("small");
            for (one, a) in layout.wanted.iter().enumerate() {
                for (other, b) in layout.wanted.iter().enumerate().skip(one + 1) {
                    let (r, s) = (placed.regions[one], placed.regions[other]);
                    assert!(!alive_together(*a, *b) || !r.overlaps(s), "{r:?} and {s:?}");
                }
            }
        }
    }

    #[test]
    fn a_chain_of_layers_needs_two_buffers_not_ten() {
        let mut layout = Layout::default();
        for moment in 0..10 {
            layout.want(160, moment, moment + 1);
        }
        assert_eq!(layout.place().expect("small").floats, 320);
    }

    #[test]
    fn sizes_that_overflow_have_no_place() {
        let mut layout = Layout::default();
        layout.want_always(usize::MAX - 3);
        layout.want_always(usize::MAX / 2);
        assert!(layout.place().is_none());
    }
}
