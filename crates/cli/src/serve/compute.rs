//! The threads that compute: each takes what waits, reads the rows, runs its network once over all of
//! them, and gives every request its part.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use data::{
    BadRow, DataError, Examples, Notice, Preprocessor, RawRows, ReadLimits, sent::VALUES_MAX,
};
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::Serialize;
use std::sync::Arc;
use study::{
    model::{Model, Predictions},
    predictor::Predictor,
};

use super::{
    State,
    content::{BodyKind, Form},
    limits::{BAD_ROWS_IN_HEAD, BAD_ROWS_LISTED, IMAGE_PIXELS_MAX},
    queue::Question,
};
use crate::{
    answer::{Called, Line, csv_header, lines},
    http::{CSV, JSON, Reply},
    show,
};

/// How many rows of a request in CSV could not be used, and the first of them.
const BAD_ROWS: HeaderName = HeaderName::from_static("lehr-bad-rows");
const BAD_ROW: HeaderName = HeaderName::from_static("lehr-bad-row");

/// Starts so many threads; they end when the queue is closed and empty.
///
/// # Errors
/// If the network cannot be built, or the system refuses a thread.
pub(super) fn start(
    state: &Arc<State>,
    model: &Model,
    threads: usize,
) -> Result<Vec<JoinHandle<()>>> {
    let start = |number| {
        let predictor = Predictor::new(model)?;
        let (state, preprocessor) = (Arc::clone(state), model.card.preprocessor.clone());
        std::thread::Builder::new()
            .name(format!("lehr-compute-{number}"))
            .spawn(move || run(&state, &preprocessor, predictor))
            .context("could not start a thread")
    };
    (0..threads).map(start).collect()
}

fn run(state: &State, preprocessor: &Preprocessor, predictor: Predictor) {
    let mut computer = Computer {
        state,
        preprocessor,
        predictor,
        limits: limits(preprocessor),
    };
    while let Some(questions) = state.queue.take() {
        // A mistake of ours costs these requests, whose clients hear of it, and no others.
        let _ = catch_unwind(AssertUnwindSafe(|| computer.answer(questions)));
    }
}

/// What is read of a request at most.
fn limits(preprocessor: &Preprocessor) -> ReadLimits {
    let usual = ReadLimits {
        image_pixels_max: IMAGE_PIXELS_MAX,
        rows_max: preprocessor.rows_of_request_max(),
        ..ReadLimits::default()
    };
    usual.for_rows_of(preprocessor)
}

/// A thread's network and what it needs beside it.
struct Computer<'a> {
    state: &'a State,
    preprocessor: &'a Preprocessor,
    predictor: Predictor,
    limits: ReadLimits,
}

/// A request whose rows are understood.
struct Understood {
    question: Question,
    row_numbers: Vec<u64>,
    bad: Vec<BadRow>,
    notices: Vec<Notice>,
}

impl Computer<'_> {
    /// Answers all, as many together as their rows may take of memory.
    fn answer(&mut self, questions: Vec<Question>) {
        let (mut understood, mut examples) = (Vec::new(), None);
        for question in questions {
            // Nobody waits for the answer any more.
            if question.answer.is_closed() {
                continue;
            }
            match self.read(&question) {
                Err(error) => reply(question, not_understood(error)),
                Ok(rows) => {
                    let held = examples.as_ref().map_or(0, values_of);
                    if held + values_of(&rows.examples) > VALUES_MAX {
                        self.compute(std::mem::take(&mut understood), examples.take());
                    }
                    understood.push(Understood {
                        question,
                        row_numbers: rows.row_numbers,
                        bad: rows.bad,
                        notices: rows.notices,
                    });
                    joined(&mut examples, rows.examples);
                }
            }
        }
        self.compute(understood, examples);
    }

    /// Runs the network once over the rows of all these requests, and answers them.
    fn compute(&mut self, understood: Vec<Understood>, examples: Option<Examples>) {
        let Some(examples) = examples else { return };
        self.state.metrics.batch(understood.len(), examples.len());
        let outputs = self.predictor.outputs(&examples);
        let mut rest = outputs.as_slice();
        for one in understood {
            let own = one.row_numbers.len() * self.predictor.width();
            let (outputs, others) = rest.split_at(own);
            rest = others;
            let predictions = self.predictor.in_words(outputs);
            self.state
                .metrics
                .rows(one.row_numbers.len(), one.bad.len());
            let answer = self.in_form(&one, &predictions);
            reply(one.question, answer);
        }
    }

    fn read(&self, question: &Question) -> Result<RawRows, DataError> {
        let bytes = question.body.bytes();
        match question.kind {
            BodyKind::Json => self.preprocessor.rows_of_json(bytes),
            BodyKind::Csv => self.preprocessor.rows_of_csv(bytes, &self.limits),
            BodyKind::Image => self.preprocessor.row_of_image(bytes, &self.limits),
        }
    }

    fn in_form(&self, one: &Understood, predictions: &Predictions) -> Reply {
        let status = match one.row_numbers.is_empty() && !one.bad.is_empty() {
            true => StatusCode::UNPROCESSABLE_ENTITY,
            false => StatusCode::OK,
        };
        // A request of which nothing can be used is told so in the form of all problems.
        match (one.question.form, status) {
            (Form::Csv, StatusCode::OK) => self.csv(one, predictions),
            _ => json(status, one, predictions),
        }
    }

    fn csv(&self, one: &Understood, predictions: &Predictions) -> Reply {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = writer
            .write_record(csv_header(self.preprocessor.task(), Called::default()))
            .map_err(anyhow::Error::from)
            .and_then(|()| {
                let mut lines = lines(predictions, &one.row_numbers, |_| Called::default());
                lines.try_for_each(|line| line.write_csv(&mut writer))
            });
        written.expect("memory can be written");
        let body = writer.into_inner().expect("memory can be written");
        let mut reply = Reply::new(StatusCode::OK, CSV, body);
        if !one.bad.is_empty() {
            reply = reply.with(BAD_ROWS, HeaderValue::from(one.bad.len()));
        }
        for bad in one.bad.iter().take(BAD_ROWS_IN_HEAD) {
            let text = format!("{}: {}", bad.row, bad.reason);
            let visible = |letter: char| match letter.is_ascii_graphic() || letter == ' ' {
                true => letter,
                false => '?',
            };
            let text: String = text.chars().map(visible).collect();
            let value = HeaderValue::from_str(&text).expect("its letters are visible");
            reply = reply.with(BAD_ROW, value);
        }
        reply
    }
}

/// How many numbers rows have become.
fn values_of(examples: &Examples) -> usize {
    examples.len() * examples.item_len()
}

/// Puts the rows of one more request behind those of the others.
fn joined(all: &mut Option<Examples>, more: Examples) {
    match all {
        Some(all) => all.append(more),
        none => *none = Some(more),
    }
}

fn reply(question: Question, reply: Reply) {
    // If the client has gone, nobody wants it.
    let _ = question.answer.send(reply);
}

/// The answer in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    rows: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<RowError<'a>>,
    /// Bad rows that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors_not_listed: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<&'a str>,
}

#[derive(Serialize)]
struct RowError<'a> {
    row: u64,
    reason: &'a str,
}

/// Rows that could not be understood at all.
fn not_understood(error: DataError) -> Reply {
    let status = match error {
        DataError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        DataError::Unfit { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_REQUEST,
    };
    Reply::problem(status, show::chain(&error.into()))
}

fn json(status: StatusCode, one: &Understood, predictions: &Predictions) -> Reply {
    let listed = one.bad.iter().take(BAD_ROWS_LISTED);
    let not_listed = one.bad.len().saturating_sub(BAD_ROWS_LISTED);
    let error = (status != StatusCode::OK)
        .then(|| format!("none of the {} rows could be used", one.bad.len()));
    let answer = Answer {
        error,
        rows: lines(predictions, &one.row_numbers, |_| Called::default()).collect(),
        errors: listed
            .map(|bad| RowError {
                row: bad.row,
                reason: &bad.reason,
            })
            .collect(),
        errors_not_listed: (not_listed > 0).then_some(not_listed),
        notices: one
            .notices
            .iter()
            .map(|notice| notice.text.as_str())
            .collect(),
    };
    let mut body = serde_json::to_vec(&answer).expect("its keys are strings");
    body.push(b'\n');
    Reply::new(status, JSON, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::of_columns;

    #[test]
    fn a_model_of_more_columns_than_usual_is_asked_by_csv() {
        let count = ReadLimits::default().columns_max + 1;
        let preprocessor = of_columns(count);
        let names: Vec<String> = (0..count).map(|place| format!("c{place}")).collect();
        let body = format!("{}\n{}\n", names.join(","), vec!["1"; count].join(","));
        let rows = preprocessor.rows_of_csv(body.as_bytes(), &limits(&preprocessor));
        assert_eq!(rows.unwrap().row_numbers, [1]);
    }
}
