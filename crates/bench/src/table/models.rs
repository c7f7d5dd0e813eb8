//! A table as something that lehr's own method searches.

use morph::Architecture;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use search::{Chain, Models, Origin, Proposal, Setting, Space};

use super::{Point, Table};

/// The models of a table, and those that a search starts with.
#[derive(Clone, Debug)]
pub struct TableModels<'a> {
    table: &'a Table,
    starts: Vec<Point>,
}

impl<'a> TableModels<'a> {
    /// A search over this table that starts with these models.
    pub fn new(table: &'a Table, starts: Vec<Point>) -> TableModels<'a> {
        TableModels { table, starts }
    }

    fn proposal(&self, point: &[u8], origin: Origin) -> Proposal {
        let (architecture, setting) = self.table.model(point);
        Proposal {
            architecture,
            setting,
            origin,
            promise: None,
        }
    }
}

impl Models for TableModels<'_> {
    fn space(&self) -> &Space {
        self.table.space()
    }

    fn seeds(&self) -> Vec<Proposal> {
        let seed = |point: &Point| {
            let name = format!("{point:?}");
            self.proposal(point, Origin::Seed { name })
        };
        self.starts.iter().map(seed).collect()
    }

    fn fresh(&self, rng: &mut ChaCha8Rng) -> Option<Proposal> {
        let origin = Origin::Fresh {
            seed: self.table.name().to_string(),
            morphs: Vec::new(),
        };
        Some(self.proposal(&self.table.draw(rng), origin))
    }

    /// Each edit moves one slot of the architecture to another level.
    fn edited(
        &self,
        parent: &Architecture,
        setting: &Setting,
        edits: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Chain> {
        let mut point = self.table.point(parent, setting);
        for _ in 0..edits {
            let slot = rng.random_range(0..self.table.architecture_slots());
            point[slot] = self.table.slots()[slot].moved(point[slot], rng);
        }
        let (architecture, _) = self.table.model(&point);
        Some(Chain {
            morphs: Vec::new(),
            architecture,
        })
    }

    fn allow(&self, _: &Architecture, _: &Setting) -> bool {
        true
    }
}
