//! `lehr predict`: what a model says of each row or image of files, folders or standard input.
//!
//! Rows that cannot be used are told by number and passed over, and so is a file that cannot be read
//! beside others; the latter is a failure at the end. Standard input is answered as it arrives; answers to files
//! appear in a file when all are there.

mod destination;

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use data::{DataKind, Piped, Preprocessor, RawRows, ReadLimits, ReadMax, RowNames, RowStream};
use destination::{Appears, Destination, file_at};
use study::predictor::Predictor;

use crate::{
    answer::{Called, Line, csv_header, lines},
    args::PredictArgs,
    command::load_model,
    show, tell,
};

/// How many bad rows are named before the rest is only counted; `--bad` has all.
const BAD_ROWS_NAMED: usize = 10;

/// How many odd things about good rows are told.
const NOTICES_TOLD: usize = 10;

/// Names of files that may be tables.
const TABLE_NAMES: [&str; 16] = [
    ".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet", ".arrow", ".feather", ".arrows",
    ".json", ".jsonl", ".ndjson", ".arff", ".ts", ".npy", ".npz",
];

pub(crate) fn run(args: &PredictArgs) -> Result<String> {
    let mut model = load_model(&args.model)?;
    model.card.preprocessor = model.card.preprocessor.written_as(args.dialect.into());
    let preprocessor = &model.card.preprocessor;
    let inputs = inputs(preprocessor, &args.files)?;
    refuse_what_is_read(&inputs, args)?;
    let appears = match inputs.iter().any(Input::is_piped) {
        true => Appears::AtOnce,
        false => Appears::Whole,
    };
    let mut asked = Asked {
        predictor: Predictor::new(&model)?,
        preprocessor,
        several: match inputs.len() {
            0 | 1 => Several::No,
            _ => Several::Yes,
        },
        out: Out::open(args, appears)?,
        bad: BadRows::open(args, appears)?,
        limits: limits(preprocessor, args.read_mib_max),
        answered: 0,
        notices: 0,
    };
    let mut unread = Vec::new();
    for input in &inputs {
        match asked.ask(input) {
            Ok(()) => {}
            Err(error) if is_broken_pipe(&error) => {
                // What could not be used until then is kept all the same.
                as_far_as_read(asked.bad.finish())?;
                return Ok(String::new());
            }
            Err(error) if inputs.len() == 1 => return Err(error),
            Err(error) => {
                tell(&format!("{input} is passed over: {}", show::chain(&error)));
                unread.push(input);
            }
        }
    }
    // Where nothing could be read, there is nothing to put in the place of what is there.
    if unread.len() < inputs.len() {
        asked.finish()?;
    }
    match unread.len() {
        0 => Ok(String::new()),
        count => bail!("{count} of {} files could not be read", inputs.len()),
    }
}

/// Something with rows in it.
enum Input {
    StandardInput,
    Path(PathBuf),
}

impl Input {
    /// Whether it may have no end.
    fn is_piped(&self) -> bool {
        matches!(self, Input::StandardInput)
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::StandardInput => f.write_str("standard input"),
            Input::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What was named, with the tables of a folder in its place if they are what the model takes.
fn inputs(preprocessor: &Preprocessor, named: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in named {
        if path == Path::new("-") {
            inputs.push(Input::StandardInput);
        } else if path.is_dir() && !is_read_whole(preprocessor, path) {
            inputs.extend(tables_in(path)?.into_iter().map(Input::Path));
        } else {
            inputs.push(Input::Path(path.clone()));
        }
    }
    Ok(inputs)
}

/// What is read at most.
fn limits(preprocessor: &Preprocessor, mib: Option<u64>) -> ReadLimits {
    let said = ReadMax {
        mib,
        ..ReadMax::default()
    };
    said.limits().for_rows_of(preprocessor)
}

/// Writing into a file that is read would destroy it, and of two things that are written into one file one is lost.
fn refuse_what_is_read(inputs: &[Input], args: &PredictArgs) -> Result<()> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    for place in args.out.iter().chain(&args.bad) {
        let is_it = |input: &Input| match input {
            Input::StandardInput => false,
            Input::Path(path) => real(place).is_some_and(|place| real(path) == Some(place)),
        };
        if inputs.iter().any(is_it) {
            bail!(
                "{} is among the files that are read, and would be written over: name another file",
                place.display()
            );
        }
    }
    if let (Some(out), Some(bad)) = (&args.out, &args.bad)
        && file_at(out).is_some_and(|place| file_at(bad) == Some(place))
    {
        bail!(
            "--out and --bad both name {}, and one would be written over the other: name two files",
            out.display()
        );
    }
    Ok(())
}

/// Whether a folder's files are rows themselves: images, or texts.
fn is_read_whole(preprocessor: &Preprocessor, folder: &Path) -> bool {
    let has_texts = || {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten();
        names.any(|entry| entry.path().extension().is_some_and(|end| end == "txt"))
    };
    match preprocessor.kind() {
        DataKind::Images => true,
        DataKind::Text => has_texts(),
        DataKind::Table | DataKind::Series => false,
    }
}

fn tables_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("could not read {}", folder.display());
    let mut tables = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.to_string_lossy().to_lowercase();
        if path.is_file() && TABLE_NAMES.iter().any(|ending| name.ends_with(ending)) {
            tables.push(path);
        }
    }
    tables.sort();
    if tables.is_empty() {
        bail!(
            "no table is in {}: files whose names end in {} are read",
            folder.display(),
            TABLE_NAMES.join(", ")
        );
    }
    Ok(tables)
}

/// Whether rows of more than one file stand in the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    Yes,
    No,
}

/// A model that is being asked.
struct Asked<'a> {
    predictor: Predictor,
    preprocessor: &'a Preprocessor,
    several: Several,
    limits: ReadLimits,
    out: Out,
    bad: BadRows,
    answered: u64,
    notices: usize,
}

impl Asked<'_> {
    fn ask(&mut self, input: &Input) -> Result<()> {
        let limits = self.limits;
        match input {
            Input::Path(path) => {
                let name = path.display().to_string();
                if let Some(stream) = RowStream::of_large_file(self.preprocessor, path, limits)? {
                    return self.answer_all(stream, &name);
                }
                let rows = self.preprocessor.read_rows(path, &limits)?;
                self.answer(&rows, &name)
            }
            Input::StandardInput if self.preprocessor.kind() == DataKind::Images => {
                let mut bytes = Vec::new();
                let stdin = io::stdin().lock();
                stdin.take(limits.bytes_max).read_to_end(&mut bytes)?;
                let rows = self.preprocessor.row_of_image(&bytes, &limits)?;
                self.answer(&rows, "-")
            }
            Input::StandardInput => {
                let name = Path::new("standard input");
                match self.preprocessor.piped(name, io::stdin().lock(), limits)? {
                    Piped::Rows(stream) => self.answer_all(*stream, "-"),
                    Piped::Whole { ending, source } => {
                        let rows = read_whole(self.preprocessor, ending, source, &limits)?;
                        self.answer(&rows, "-")
                    }
                }
            }
        }
    }

    fn answer_all<R: Read>(&mut self, mut stream: RowStream<'_, R>, file: &str) -> Result<()> {
        while let Some(rows) = stream.next_part()? {
            self.answer(&rows, file)?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Writes what the model says of these rows of a file.
    fn answer(&mut self, rows: &RawRows, file: &str) -> Result<()> {
        for notice in &rows.notices {
            self.notices += 1;
            if self.notices <= NOTICES_TOLD {
                tell(&notice.to_string());
            }
        }
        for bad in &rows.bad {
            let place = (self.several == Several::Yes).then_some(file);
            self.bad.add(place, bad.row, &bad.reason)?;
        }
        let predictions = self.predictor.predict(&rows.examples);
        let has_ids = self.preprocessor.is_of_steps();
        let paths: Vec<String> = match (self.several, &rows.names) {
            (Several::Yes, RowNames::Paths(names)) => {
                let whole = |name: &String| format!("{file}/{name}");
                names.iter().map(whole).collect()
            }
            (Several::No, RowNames::Paths(names)) => names.clone(),
            _ => Vec::new(),
        };
        let called = |index: usize| Called {
            file: match (self.several, &rows.names) {
                (_, RowNames::Paths(_)) => paths.get(index).map(String::as_str),
                (Several::Yes, _) => Some(file),
                (Several::No, _) => None,
            },
            // A model of such tables may be asked about series that have no id: of a `.ts` file.
            series: match &rows.names {
                RowNames::Series(ids) => ids.get(index).map(String::as_str),
                RowNames::None | RowNames::Paths(_) => has_ids.then_some(""),
            },
        };
        let is_named = self.several == Several::Yes || matches!(rows.names, RowNames::Paths(_));
        let first = Called {
            file: is_named.then_some(file),
            series: has_ids.then_some(""),
        };
        self.out
            .begin(&csv_header(self.preprocessor.task(), first))?;
        for line in lines(&predictions, &rows.row_numbers, called) {
            self.out.write(&line)?;
        }
        self.answered += predictions.len() as u64;
        Ok(())
    }

    /// Puts the answers in their place, unless there are none.
    fn finish(mut self) -> Result<()> {
        let flushed = as_far_as_read(self.out.flush());
        let bad = self.bad.finish()?;
        if flushed?.is_none() {
            return Ok(());
        }
        if self.answered == 0 && bad > 0 {
            bail!("none of the {bad} rows could be used");
        }
        self.out.finish()
    }
}

/// What has to be had as a whole, read as the file that it is put into.
fn read_whole(
    preprocessor: &Preprocessor,
    ending: &str,
    source: impl Read,
    limits: &ReadLimits,
) -> Result<RawRows> {
    let place = tempfile::tempdir().context("could not make a folder for standard input")?;
    let path = place.path().join(format!("standard input.{ending}"));
    // One byte beyond the limit is enough to be refused.
    let mut bounded = source.take(limits.bytes_max.saturating_add(1));
    let copied = File::create(&path).and_then(|mut file| io::copy(&mut bounded, &mut file));
    copied.with_context(|| format!("could not keep standard input in {}", path.display()))?;
    Ok(preprocessor.read_rows(&path, limits)?)
}

/// Where predictions go.
enum Out {
    Csv {
        writer: Box<csv::Writer<Destination>>,
        has_header: bool,
    },
    JsonLines(BufWriter<Destination>),
}

impl Out {
    fn open(args: &PredictArgs, appears: Appears) -> Result<Out> {
        let destination = match &args.out {
            None => Destination::StandardOutput(io::stdout().lock()),
            Some(path) => Destination::open(path, appears)?,
        };
        Ok(match args.json {
            true => Out::JsonLines(BufWriter::new(destination)),
            false => Out::Csv {
                writer: Box::new(csv::Writer::from_writer(destination)),
                has_header: false,
            },
        })
    }

    /// Writes the header, once, where there is one.
    fn begin(&mut self, header: &[String]) -> Result<()> {
        if let Out::Csv { writer, has_header } = self
            && !*has_header
        {
            writer.write_record(header)?;
            *has_header = true;
        }
        Ok(())
    }

    fn write(&mut self, line: &Line<'_>) -> Result<()> {
        match self {
            Out::Csv { writer, .. } => line.write_csv(writer),
            Out::JsonLines(writer) => {
                serde_json::to_writer(&mut *writer, line)?;
                Ok(writer.write_all(b"\n")?)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Out::Csv { writer, .. } => writer.flush()?,
            Out::JsonLines(writer) => writer.flush()?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let destination = match self {
            Out::Csv { writer, .. } => {
                (*writer).into_inner().map_err(|error| error.into_error())?
            }
            Out::JsonLines(writer) => writer.into_inner().map_err(|error| error.into_error())?,
        };
        destination.finish()
    }
}

/// Rows that could not be used: the first are told, all are written where `--bad` says.
struct BadRows {
    file: Option<csv::Writer<Destination>>,
    count: u64,
}

impl BadRows {
    fn open(args: &PredictArgs, appears: Appears) -> Result<BadRows> {
        let mut file = match &args.bad {
            None => None,
            Some(path) => Some(csv::Writer::from_writer(Destination::open(path, appears)?)),
        };
        if let Some(file) = &mut file {
            file.write_record(["file", "row", "reason"])?;
        }
        Ok(BadRows { file, count: 0 })
    }

    fn add(&mut self, file: Option<&str>, row: u64, reason: &str) -> Result<()> {
        self.count += 1;
        if self.count <= BAD_ROWS_NAMED as u64 {
            let of = file.map_or(String::new(), |file| format!(" of {file}"));
            tell(&format!("row {row}{of} is passed over: {reason}"));
        }
        if let Some(writer) = &mut self.file {
            writer.write_record([file.unwrap_or_default(), &row.to_string(), reason])?;
        }
        Ok(())
    }

    /// How many there were.
    fn finish(self) -> Result<u64> {
        if let Some(writer) = self.file {
            let destination = writer.into_inner().map_err(|error| error.into_error())?;
            destination.finish()?;
        }
        if self.count > BAD_ROWS_NAMED as u64 {
            let more = self.count - BAD_ROWS_NAMED as u64;
            tell(&format!("{more} more rows are passed over"));
        }
        Ok(self.count)
    }
}

/// What came of writing; nothing where the reader has gone away. One that has seen enough, as `head`, is no failure.
fn as_far_as_read<T>(written: Result<T>) -> Result<Option<T>> {
    match written {
        Err(error) if is_broken_pipe(&error) => Ok(None),
        written => written.map(Some),
    }
}

/// Whether somebody who read standard output has gone away.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let csv = cause
            .downcast_ref::<csv::Error>()
            .and_then(|error| match error.kind() {
                csv::ErrorKind::Io(error) => Some(error.kind()),
                _ => None,
            });
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        [io, csv, json].contains(&Some(ErrorKind::BrokenPipe))
    })
}
