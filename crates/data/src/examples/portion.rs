//! Rows for one epoch of data larger than memory: as many as are held, of those in memory and on disk.
//!
//! All rows are one ring of blocks, whose order is drawn anew for each time round. A portion is the next
//! stretch of it; what is in which portion follows from seed and number alone, so that a training which
//! was paused goes on with the rows that it would have had.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Examples, shards::Shards};
use crate::error::DataError;

/// A block of the ring.
#[derive(Clone, Copy)]
enum Block {
    Held(usize),
    OnDisk(usize),
}

impl Examples {
    /// The rows of an epoch, which is numbered from 0; nothing if all rows are in memory.
    ///
    /// # Shapes
    /// As many rows as these; none comes again before all have been there.
    /// # Errors
    /// If the rows on disk cannot be read.
    /// # Cost
    /// Reading as many bytes as these rows have.
    pub fn portion(&self, seed: u64, number: u64) -> Result<Option<Examples>, DataError> {
        let Some(shards) = &self.rest else {
            return Ok(None);
        };
        let all = self.rows as u64 + shards.rows();
        let mut place = number * self.rows as u64;
        let mut portion = shards.form().empty(self.rows);
        while portion.rows < self.rows {
            let mut skipped = place % all;
            for block in self.ring(shards, seed, place / all) {
                let rows = self.rows_of(shards, block);
                if skipped >= rows as u64 {
                    skipped -= rows as u64;
                    continue;
                }
                let first = std::mem::take(&mut skipped) as usize;
                let last = rows.min(first + self.rows - portion.rows);
                self.take_block(shards, block, first..last, &mut portion)?;
                place += (last - first) as u64;
                if portion.rows == self.rows {
                    break;
                }
            }
        }
        Ok(Some(portion))
    }

    fn ring(&self, shards: &Shards, seed: u64, round: u64) -> Vec<Block> {
        let held = self.rows.div_ceil(shards.rows_per_block());
        let held = (0..held).map(Block::Held);
        let mut ring: Vec<Block> = held
            .chain((0..shards.blocks()).map(Block::OnDisk))
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(round);
        ring.shuffle(&mut rng);
        ring
    }

    fn rows_of(&self, shards: &Shards, block: Block) -> usize {
        match block {
            Block::OnDisk(block) => shards.rows_of(block),
            Block::Held(block) => {
                let before = block * shards.rows_per_block();
                (self.rows - before).min(shards.rows_per_block())
            }
        }
    }

    fn take_block(
        &self,
        shards: &Shards,
        block: Block,
        rows: std::ops::Range<usize>,
        portion: &mut Examples,
    ) -> Result<(), DataError> {
        match block {
            Block::Held(block) => {
                let start = block * shards.rows_per_block();
                portion.take_from(self, start + rows.start..start + rows.end);
            }
            Block::OnDisk(block) if rows == (0..shards.rows_of(block)) => {
                shards.read(block, portion)?;
            }
            Block::OnDisk(number) => {
                let mut whole = shards.form().empty(shards.rows_of(number));
                shards.read(number, &mut whole)?;
                portion.take_from(&whole, rows);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{ItemShape, ShardWriter, Targets};

    /// Rows of which each is its number: five values, the number among zeros, as class and as weight.
    fn numbered(rows: std::ops::Range<u32>) -> Examples {
        let values = rows
            .clone()
            .flat_map(|row| [0.0, row as f32 + 1.0, 0.0, -0.0, 0.5])
            .collect();
        let targets = Targets::Classes {
            ids: rows.clone().collect(),
            count: 10_000,
        };
        let weights = rows.map(|row| row as f32).collect();
        Examples::from_floats(ItemShape::Features(5), values, Targets::None)
            .with_answers(targets, Some(weights))
    }

    fn with_rest(held: u32, rest: u32) -> (tempfile::TempDir, Examples) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.shards");
        let held_rows = numbered(0..held);
        let mut writer = ShardWriter::create(&path, &held_rows).unwrap();
        for start in (held..held + rest).step_by(700) {
            let part = numbered(start..(start + 700).min(held + rest));
            writer.push(&part).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), u64::from(rest));
        let rest = Shards::open(&path).unwrap();
        (folder, held_rows.with_rest(rest))
    }

    #[test]
    fn no_row_comes_again_before_all_have_been_there() {
        let (_folder, examples) = with_rest(1_500, 5_300);
        let mut seen = vec![0; 6_800];
        // 34 portions of 1,500 rows are seven and a half times all rows.
        for number in 0..34 {
            let portion = examples.portion(3, number).unwrap().unwrap();
            assert_eq!(portion.len(), 1_500);
            let Targets::Classes { ids, .. } = portion.targets() else {
                panic!("they have classes");
            };
            let mut values = vec![0.0; 5 * 1_500];
            portion.copy_inputs(&(0..1_500).collect::<Vec<u32>>(), &mut values);
            for ((id, row), weight) in ids
                .iter()
                .zip(values.chunks_exact(5))
                .zip(portion.weights().unwrap())
            {
                let wanted = [0.0, *id as f32 + 1.0, 0.0, -0.0, 0.5];
                assert_eq!(
                    row.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
                    wanted.map(f32::to_bits)
                );
                assert_eq!(*weight, *id as f32);
                seen[*id as usize] += 1;
            }
        }
        let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
        assert_eq!((*least, *most), (7, 8));
    }

    #[test]
    fn a_portion_follows_from_seed_and_number() {
        let (_folder, examples) = with_rest(900, 4_000);
        let portion = |seed, number| examples.portion(seed, number).unwrap().unwrap();
        assert_eq!(portion(1, 5), portion(1, 5));
        assert_ne!(portion(1, 5), portion(2, 5));
        assert_ne!(portion(1, 5), portion(1, 6));
        assert_eq!(numbered(0..9).portion(1, 5).unwrap(), None);
    }

    #[test]
    fn rows_come_back_with_the_file_that_has_the_rest() {
        let (folder, examples) = with_rest(300, 2_000);
        let path = folder.path().join("train.safetensors");
        examples.save(&path).unwrap();
        let loaded = Examples::load(&path).unwrap();
        assert_eq!(loaded, examples);
        assert_eq!(loaded.rest().map(Shards::rows), Some(2_000));
        std::fs::remove_file(folder.path().join("train.shards")).unwrap();
        let error = Examples::load(&path).unwrap_err().to_string();
        assert!(error.contains("train.shards could not be read"), "{error}");
    }

    #[test]
    fn a_cut_or_damaged_file_is_refused_and_names_the_place() {
        let (folder, examples) = with_rest(300, 2_000);
        let path = folder.path().join("train.shards");
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 5, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Shards::open(&path).unwrap_err().to_string();
            assert!(error.ends_with("it is no whole file of rows"), "{error}");
        }
        let mut damaged = whole;
        damaged[100] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let reopened = numbered(0..300).with_rest(Shards::open(&path).unwrap());
        let errors = (0..8).filter_map(|number| reopened.portion(1, number).err());
        let error = errors.map(|error| error.to_string()).next().unwrap();
        assert!(error.ends_with("its block 0 is damaged"), "{error}");
        drop(examples);
    }
}
