//! All that is done with a file of data, from reading it to what a network gets.

use std::{fs, io::Cursor, path::Path};

use data::{Preprocessor, ReadLimits, Request, RowStream, SplitShares};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::healthy::steps_of;

/// Reads, splits, fits and applies; what reaches a network is finite. New rows are read from the same file, and from
/// its bytes as they arrive.
pub(crate) fn read_through(path: &Path) {
    let request = Request {
        path: path.to_path_buf(),
        steps: steps_of(path.file_name().unwrap().to_str().unwrap()),
        limits: ReadLimits {
            bytes_max: 1 << 22,
            ..ReadLimits::default()
        },
        ..Request::default()
    };
    let Ok(source) = data::read(&request) else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let Ok(split) = data::split(&source, SplitShares::default(), &mut rng) else {
        return;
    };
    let preprocessor = Preprocessor::fit(&source, &split.train).unwrap();
    let examples = preprocessor
        .apply(&source.dataset, &split.validation)
        .unwrap();
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0; rows.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    assert!(inputs.iter().all(|value| value.is_finite()));
    let _ = preprocessor.read_rows(path, &request.limits);
    let bytes = Cursor::new(fs::read(path).unwrap());
    if let Ok(mut stream) = RowStream::new(&preprocessor, path, bytes, request.limits) {
        while let Ok(Some(_)) = stream.next_part() {}
    }
}
