//! Reading whatever a user brings: the kind is found out by looking, and said.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use crate::{
    error::DataError,
    idx, images,
    limits::ReadLimits,
    notice::Notice,
    npy::{self, Array, Values},
    source::{
        Cells, Column, Dataset, Fingerprint, Images, RawTargets, Request, Source, Table, Task,
        TaskKind,
    },
    table::{self, read::class_ids, text::malformed},
};

/// Names of an array of inputs, and of an array of targets.
pub(crate) const INPUT_NAMES: [&str; 5] = ["X", "x", "data", "images", "inputs"];
const TARGET_NAMES: [&str; 5] = ["y", "Y", "labels", "target", "targets"];

/// Bytes that are enough to know a format by.
const SIGNATURE_BYTES: u64 = 64;

/// Names of image files, whatever is in them.
const IMAGE_NAMES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// Formats that people have tables in and that are not read, with the bytes that they start with.
const OTHER_FORMATS: [(&str, &[u8]); 5] = [
    ("arff", b""),
    ("ts", b""),
    ("json", b""),
    ("jsonl", b""),
    ("hdf5", b"\x89HDF"),
];

/// Classes that are so much rarer than others deserve a word.
const IMBALANCE: usize = 3;

/// What a reader has found, before the whole is checked.
struct Found {
    dataset: Dataset,
    task: Task,
    notices: Vec<Notice>,
    test_rows: usize,
    kind: &'static str,
}

/// Reads the data of a request.
///
/// # Errors
/// If they cannot be read, or break a rule of their format, or hold nothing to learn.
pub fn read(request: &Request) -> Result<Source, DataError> {
    if !request.path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DataError::Unreadable {
            path: request.path.clone(),
            source,
        });
    }
    let Found {
        dataset,
        task,
        mut notices,
        test_rows,
        kind,
    } = find(request)?;
    let rows = dataset.rows();
    notices.extend(class_notices(&dataset, &task));
    let fingerprint = fingerprint(&dataset, &task, test_rows);
    let description = describe(kind, &dataset, &task, test_rows);
    Ok(Source {
        dataset,
        given_test_rows: rows - test_rows..rows,
        task,
        notices,
        fingerprint,
        description,
    })
}

fn find(request: &Request) -> Result<Found, DataError> {
    let path = &request.path;
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    if path.is_dir() {
        if let Some((train, own)) = idx::pairs_in(path) {
            let given = request.test.as_deref().map(idx::pair_of).transpose()?;
            return find_idx(request, &train, given.or(own).as_ref());
        }
    } else if idx::is_images_file(path) {
        // What is wrong with the file itself is said before what is missing beside it.
        idx::read_images(path, &request.limits)?;
        let pair = idx::pair_of(path)?;
        let test = request.test.as_deref().map(idx::pair_of).transpose()?;
        return find_idx(request, &pair, test.as_ref());
    } else if extension == "npz" {
        return find_npz(request);
    } else if extension == "npy" {
        let problem = "an NPY file has no labels: save X and y together with numpy.savez";
        let bytes = table::text::read_bytes(path, &request.limits)?;
        npy::parse(path, "array", &bytes, &request.limits)?;
        return Err(malformed(path, problem.into()));
    }
    if images::looks_like_images(path) {
        return find_images(request);
    }
    if matches!(extension, "zip" | "tar" | "tgz") {
        let problem = "it has the name of an archive but not its content: was it cut or renamed?";
        return Err(malformed(path, problem.into()));
    }
    if let Some(problem) = not_read(path, extension)? {
        return Err(malformed(path, problem));
    }
    let read = table::read::read(request)?;
    Ok(Found {
        dataset: Dataset::Table(read.table),
        task: read.task,
        notices: read.notices,
        test_rows: read.test_rows,
        kind: "table",
    })
}

/// Why a file that is no table is not read as one.
fn not_read(path: &Path, extension: &str) -> Result<Option<String>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut start = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(SIGNATURE_BYTES)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    if ::image::guess_format(&start).is_ok() || IMAGE_NAMES.contains(&extension) {
        let problem =
            "one image is no data set: bring a folder with one folder of images per class";
        return Ok(Some(problem.to_string()));
    }
    let known = OTHER_FORMATS.iter().find(|(name, magic)| {
        *name == extension || (!magic.is_empty() && start.starts_with(magic))
    });
    Ok(known.map(|(name, _)| format!("{name} files are not read yet: save it as CSV")))
}

fn find_idx(
    request: &Request,
    train: &idx::Pair,
    test: Option<&idx::Pair>,
) -> Result<Found, DataError> {
    let mut read = idx::read(train, &request.limits)?;
    let mut test_rows = 0;
    if let Some(test) = test {
        let more = idx::read(test, &request.limits)?;
        if (more.height, more.width) != (read.height, read.width) {
            let problem = "its images have another size than those to learn from";
            return Err(malformed(&test.images, problem.into()));
        }
        test_rows = more.labels.len();
        read.bytes.extend(more.bytes);
        read.labels.extend(more.labels);
    }
    let labels: Vec<String> = read.labels.iter().map(u8::to_string).collect();
    let images = Images {
        height: read.height,
        width: read.width,
        channels: 1,
        bytes: read.bytes,
        targets: RawTargets::Unknown(labels.len()),
    };
    labelled_images(request, images, &labels, Vec::new(), test_rows)
}

fn labelled_images(
    request: &Request,
    mut images: Images,
    labels: &[String],
    notices: Vec<Notice>,
    test_rows: usize,
) -> Result<Found, DataError> {
    let nothing = |problem| DataError::NothingToLearn {
        path: request.path.clone(),
        problem,
    };
    if request.task == Some(TaskKind::Regression) {
        return Err(nothing(
            "images with a number to predict cannot be learned yet".into(),
        ));
    }
    let own = labels.len() - test_rows;
    let (classes, ids) = class_ids(labels);
    let unknown = ids[own..].iter().find(|id| !ids[..own].contains(id));
    if let Some(id) = unknown {
        let class = &classes[*id as usize];
        return Err(nothing(format!(
            "the test rows have the class `{class}`, the others do not"
        )));
    }
    if classes.len() < 2 {
        let only = classes.join("");
        return Err(nothing(format!(
            "every image is of class `{only}`: two are needed"
        )));
    }
    images.targets = RawTargets::Classes(ids);
    let task = Task::Classification { classes };
    let mut notices = notices;
    notices.extend(shared_images(&images, test_rows));
    Ok(Found {
        dataset: Dataset::Images(images),
        task,
        notices,
        test_rows,
        kind: "images",
    })
}

/// Identical images among the test rows and the others.
fn shared_images(images: &Images, test_rows: usize) -> Option<Notice> {
    let item = (images.height * images.width * images.channels) as usize;
    let own = images.targets.len() - test_rows;
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let known: std::collections::BTreeSet<[u8; 32]> = match test_rows {
        0 => return None,
        _ => images.bytes[..own * item]
            .chunks_exact(item)
            .map(digest)
            .collect(),
    };
    let tests = images.bytes[own * item..].chunks_exact(item);
    let shared = tests.filter(|bytes| known.contains(&digest(bytes))).count();
    (shared > 0).then(|| {
        Notice::warning(format!(
            "{shared} of {test_rows} test images are identical to images to learn from: \
             the score on them flatters"
        ))
    })
}

fn find_images(request: &Request) -> Result<Found, DataError> {
    let mut read = images::read(&request.path, None, &request.limits)?;
    let size = (read.height, read.width, read.channels);
    if let Some(test) = &request.test {
        let more = images::read(test, Some(size), &request.limits)?;
        read.is_test
            .extend(std::iter::repeat_n(true, more.labels.len()));
        read.labels.extend(more.labels);
        read.bytes.extend(more.bytes);
        read.notices.extend(more.notices);
    }
    // Test rows stand at the end.
    let item = (size.0 * size.1 * size.2) as usize;
    let mut order: Vec<usize> = (0..read.labels.len()).collect();
    order.sort_by_key(|row| read.is_test[*row]);
    let labels: Vec<String> = order.iter().map(|row| read.labels[*row].clone()).collect();
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|row| &read.bytes[row * item..(row + 1) * item])
        .copied()
        .collect();
    let test_rows = read.is_test.iter().filter(|test| **test).count();
    let targets = RawTargets::Unknown(labels.len());
    let images = Images {
        height: size.0,
        width: size.1,
        channels: size.2,
        bytes,
        targets,
    };
    labelled_images(request, images, &labels, read.notices, test_rows)
}

/// Named arrays of an NPZ file.
struct NamedArrays<'a> {
    path: &'a Path,
    arrays: Vec<(String, Array)>,
}

impl NamedArrays<'_> {
    fn read<'a>(path: &'a Path, limits: &ReadLimits) -> Result<NamedArrays<'a>, DataError> {
        let arrays = npy::read_npz(path, npy::Texts::Refuse, limits)?;
        Ok(NamedArrays { path, arrays })
    }

    fn take(&self, wanted: &[&str]) -> Option<Array> {
        let named = |wanted: &&str| self.arrays.iter().find(|(name, _)| name == wanted);
        wanted
            .iter()
            .find_map(named)
            .map(|(_, array)| array.clone())
    }

    fn needed(&self, wanted: &[&str]) -> Result<Array, DataError> {
        self.take(wanted).ok_or_else(|| {
            let names: Vec<&str> = self.arrays.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!(
                "it has no array named one of {}: its arrays are {}",
                wanted.join(", "),
                names.join(", ")
            );
            malformed(self.path, problem)
        })
    }

    /// Test rows: those of the file itself, or those of the file that was named for them.
    fn test_rows(&self, request: &Request) -> Result<Option<(Array, Array)>, DataError> {
        let own = self.take(&["X_test", "x_test"]).zip(self.take(&["y_test"]));
        let Some(path) = &request.test else {
            return Ok(own);
        };
        if own.is_some() {
            let problem = format!(
                "it has test rows of its own, and {} is named for them, too: give one of the two",
                path.display()
            );
            return Err(malformed(self.path, problem));
        }
        let given = NamedArrays::read(path, &request.limits)?;
        Ok(Some((
            given.needed(&INPUT_NAMES)?,
            given.needed(&TARGET_NAMES)?,
        )))
    }
}

fn find_npz(request: &Request) -> Result<Found, DataError> {
    let path = &request.path;
    let arrays = NamedArrays::read(path, &request.limits)?;
    let (mut inputs, mut targets) = (arrays.needed(&INPUT_NAMES)?, arrays.needed(&TARGET_NAMES)?);
    let mut test_rows = 0;
    if let Some((more, more_targets)) = arrays.test_rows(request)? {
        test_rows = more.shape.first().copied().unwrap_or(0);
        inputs = joined(path, inputs, more)?;
        targets = joined(path, targets, more_targets)?;
    }
    let rows = inputs.shape.first().copied().unwrap_or(0);
    let labels = targets.values.to_floats();
    if labels.len() != rows {
        let problem = format!("it has {rows} inputs but {} targets", labels.len());
        return Err(malformed(path, problem));
    }
    if inputs.shape.len() > 2 {
        let words: Vec<String> = labels.iter().map(f64::to_string).collect();
        if let Some(odd) = labels.iter().find(|label| label.fract() != 0.0) {
            return Err(malformed(
                path,
                format!("the label {odd} is no whole number, so no class"),
            ));
        }
        let images = array_images(path, inputs)?;
        return labelled_images(request, images, &words, Vec::new(), test_rows);
    }
    find_array_table(request, &inputs, &labels, test_rows)
}

fn joined(path: &Path, first: Array, second: Array) -> Result<Array, DataError> {
    if first.shape[1..] != second.shape[1..] {
        let problem = "its test rows have another shape than the others";
        return Err(malformed(path, problem.into()));
    }
    let mut shape = first.shape.clone();
    shape[0] += second.shape[0];
    let values = match (first.values, second.values) {
        (Values::Bytes(mut bytes), Values::Bytes(more)) => {
            bytes.extend(more);
            Values::Bytes(bytes)
        }
        (first, second) => {
            let mut values = first.to_floats();
            values.extend(second.to_floats());
            Values::Floats(values)
        }
    };
    Ok(Array { shape, values })
}

/// An array of images: rows, height, width, and perhaps channels behind them or before.
pub(crate) fn array_images(path: &Path, array: Array) -> Result<Images, DataError> {
    let (rows, height, width, channels) = match array.shape[..] {
        [rows, height, width] => (rows, height, width, 1),
        [rows, height, width, channels @ (1 | 3)] => (rows, height, width, channels),
        _ => {
            let problem = format!(
                "an array of shape {:?} is no list of images: rows, height, width and 1 or 3 \
                 channels behind them are",
                array.shape
            );
            return Err(malformed(path, problem));
        }
    };
    let bytes = match array.values {
        Values::Bytes(bytes) => bytes,
        Values::Floats(values) => whole_bytes(path, &values)?,
    };
    Ok(Images {
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        bytes,
        targets: RawTargets::Unknown(rows),
    })
}

fn whole_bytes(path: &Path, values: &[f64]) -> Result<Vec<u8>, DataError> {
    let byte = |value: f64| {
        (value.fract() == 0.0 && (0.0..=255.0).contains(&value)).then_some(value as u8)
    };
    values
        .iter()
        .map(|value| byte(*value))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| {
            let problem = "its images are not whole numbers from 0 to 255: save them as bytes";
            malformed(path, problem.into())
        })
}

fn find_array_table(
    request: &Request,
    inputs: &Array,
    labels: &[f64],
    test_rows: usize,
) -> Result<Found, DataError> {
    let mut notices = Vec::new();
    let columns = array_columns(request, inputs, &mut notices)?;
    let whole = labels.iter().all(|label| label.fract() == 0.0);
    let looks = if whole {
        TaskKind::Classification
    } else {
        TaskKind::Regression
    };
    let (task, targets) = match request.task.unwrap_or(looks) {
        TaskKind::Regression => {
            if request.task.is_none() {
                notices.push(Notice::note(
                    "`y` holds fractions, so it is predicted as a number",
                ));
            }
            array_values(request, labels)?
        }
        TaskKind::Classification => array_classes(request, labels)?,
    };
    let dataset = Dataset::Table(Table { columns, targets });
    Ok(Found {
        dataset,
        task,
        notices,
        test_rows,
        kind: "table",
    })
}

fn array_columns(
    request: &Request,
    inputs: &Array,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Column>, DataError> {
    let [rows, width] = inputs.shape[..] else {
        let problem = format!("its inputs have the shape {:?}", inputs.shape);
        return Err(malformed(&request.path, problem));
    };
    let values = inputs.values.to_floats();
    let odd = values.iter().filter(|value| !value.is_finite()).count();
    if odd > 0 {
        notices.push(Notice::warning(format!(
            "{odd} value(s) are infinite or not a number and count as missing"
        )));
    }
    let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
    let column = |column: usize| Column {
        name: format!("x{column}"),
        cells: Cells::Numbers(
            (0..rows)
                .map(|row| finite(values[row * width + column]))
                .collect(),
        ),
    };
    let columns = table::columns::without_useless((0..width).map(column).collect(), notices);
    if columns.is_empty() {
        let problem = "no column is left to predict from".to_string();
        return Err(nothing(request, problem));
    }
    Ok(columns)
}

fn nothing(request: &Request, problem: String) -> DataError {
    DataError::NothingToLearn {
        path: request.path.clone(),
        problem,
    }
}

fn array_values(request: &Request, labels: &[f64]) -> Result<(Task, RawTargets), DataError> {
    let differs = labels.iter().any(|label| *label != labels[0]);
    if !differs || labels.iter().any(|label| !label.is_finite()) {
        return Err(nothing(
            request,
            "`y` must hold different, finite numbers".to_string(),
        ));
    }
    Ok((
        Task::Regression {
            target: "y".to_string(),
        },
        RawTargets::Values(labels.to_vec()),
    ))
}

fn array_classes(request: &Request, labels: &[f64]) -> Result<(Task, RawTargets), DataError> {
    if let Some(odd) = labels.iter().find(|label| label.fract() != 0.0) {
        let problem = format!("`y` holds {odd}, which is no class: --task regression predicts it");
        return Err(nothing(request, problem));
    }
    let words: Vec<String> = labels.iter().map(f64::to_string).collect();
    let (classes, ids) = class_ids(&words);
    if classes.len() < 2 || classes.len() * 2 > labels.len() {
        let problem = format!("`y` has {} classes in {} rows", classes.len(), labels.len());
        return Err(nothing(request, problem));
    }
    Ok((Task::Classification { classes }, RawTargets::Classes(ids)))
}

fn class_notices(dataset: &Dataset, task: &Task) -> Vec<Notice> {
    let (RawTargets::Classes(ids), Task::Classification { classes }) = (dataset.targets(), task)
    else {
        return Vec::new();
    };
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    ids.iter()
        .for_each(|id| *counts.entry(*id).or_default() += 1);
    let most = counts.iter().max_by_key(|(_, count)| **count);
    let least = counts.iter().min_by_key(|(_, count)| **count);
    match (most, least) {
        (Some((common, many)), Some((rare, few))) if *many > IMBALANCE * few => {
            vec![Notice::note(format!(
                "`{}` has {many} rows and `{}` {few}: accuracy favours the former \
                 (--metric balanced_accuracy does not)",
                classes[*common as usize], classes[*rare as usize]
            ))]
        }
        _ => Vec::new(),
    }
}

fn fingerprint(dataset: &Dataset, task: &Task, test_rows: usize) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{task:?} {test_rows} {}", dataset.rows()).as_bytes());
    match dataset {
        Dataset::Images(images) => {
            let size = (images.height, images.width, images.channels);
            hasher.update(format!("{size:?}").as_bytes());
            hasher.update(&images.bytes);
        }
        Dataset::Table(table) => {
            for column in &table.columns {
                hasher.update(column.name.as_bytes());
                match &column.cells {
                    Cells::Numbers(values) => values.iter().for_each(|value| {
                        hasher.update(&value.to_bits().to_le_bytes());
                    }),
                    Cells::Words(words) => words.iter().for_each(|word| {
                        hasher.update(format!("{word:?}").as_bytes());
                    }),
                }
            }
        }
    }
    match dataset.targets() {
        RawTargets::Classes(ids) => ids.iter().for_each(|id| {
            hasher.update(&id.to_le_bytes());
        }),
        RawTargets::Values(values) => values.iter().for_each(|value| {
            hasher.update(&value.to_bits().to_le_bytes());
        }),
        RawTargets::Unknown(_) => {}
    }
    Fingerprint::of(&hasher)
}

fn describe(kind: &str, dataset: &Dataset, task: &Task, test_rows: usize) -> String {
    let what = match dataset {
        Dataset::Images(Images {
            height,
            width,
            channels,
            ..
        }) => {
            format!("{height}x{width}x{channels}")
        }
        Dataset::Table(table) => format!("{} columns", table.columns.len()),
    };
    let predicted = match task {
        Task::Classification { classes } => format!("{} classes", classes.len()),
        Task::Regression { target } => format!("`{target}` is a number"),
    };
    let tests = match test_rows {
        0 => String::new(),
        rows => format!(", {rows} of them given as test rows"),
    };
    format!(
        "{kind}, {} rows{tests}, {what}, {predicted}",
        dataset.rows()
    )
}
