//! What a server says of its model: a card for programs, a page for people.

use data::{FittedColumn, FittedInputs, FittedKind, FittedTask, Preprocessor, levels};
use hyper::body::Bytes;
use maud::{DOCTYPE, html};
use serde_json::{Value, json};
use study::model::Model;

use super::{content::BodyKind, openapi::openapi, routes::Route};
use crate::http::Access;

/// How many classes or columns a page lists.
const LISTED: usize = 40;

/// Everything that stays the same while a server runs.
pub(super) struct Texts {
    pub(super) card: Bytes,
    pub(super) page: Bytes,
    pub(super) openapi: Bytes,
    /// What bodies the model takes.
    pub(super) taken: Vec<BodyKind>,
}

impl Texts {
    /// `asks_for_token` decides what the description for machines says of access.
    pub(super) fn new(model: &Model, access: Access) -> Texts {
        let preprocessor = &model.card.preprocessor;
        Texts {
            card: bytes(&card(model)),
            page: Bytes::from(page(model)),
            openapi: bytes(&openapi(preprocessor, access)),
            taken: BodyKind::taken_by(preprocessor),
        }
    }
}

fn bytes(value: &Value) -> Bytes {
    let text = serde_json::to_string_pretty(value).expect("its keys are strings");
    Bytes::from(text + "\n")
}

fn card(model: &Model) -> Value {
    let card = &model.card;
    let routes = Route::ALL.map(|route| (route.path().to_string(), Value::from(route.purpose())));
    json!({
        "model": {
            "origin": card.origin(),
            "trial": card.trial.to_string(),
            "members": card.members,
            "architecture": card.architecture.to_string(),
            "parameters": card.architecture.cost().parameters,
            "weights_blake3": card.weights.to_string(),
        },
        "predicts": predicted(card.preprocessor.task()),
        "takes": taken(card.preprocessor.inputs()),
        "content_types": content_types(&card.preprocessor),
        "routes": Value::Object(routes.into_iter().collect()),
        "served_by": concat!("lehr ", env!("CARGO_PKG_VERSION")),
    })
}

fn predicted(task: &FittedTask) -> Value {
    match task {
        FittedTask::Classification { classes } => json!({ "classes": classes }),
        FittedTask::Regression { target, .. } => json!({ "value": target }),
    }
}

fn taken(inputs: &FittedInputs) -> Value {
    let column = |column: &FittedColumn| match &column.kind {
        FittedKind::Numeric { .. } => json!({ "name": column.name, "kind": "number" }),
        FittedKind::Category { levels, .. } => {
            json!({ "name": column.name, "kind": "word", "levels": levels::own(levels) })
        }
        FittedKind::Text { .. } => json!({ "name": column.name, "kind": "text" }),
        FittedKind::Time(time) => {
            json!({ "name": column.name, "kind": "date", "written": time.format })
        }
    };
    match inputs {
        FittedInputs::Columns(columns) => {
            json!({ "columns": columns.iter().map(column).collect::<Vec<Value>>() })
        }
        FittedInputs::Image(image) => json!({ "image": {
            "height": image.height, "width": image.width, "channels": image.channels,
        }}),
        FittedInputs::Series(series) => json!({ "series": {
            "channels": series.channels, "steps_max": series.length, "columns": series.columns,
        }}),
        FittedInputs::Text(text) => json!({ "text": {
            "column": text.name, (format!("{}_read", text.unit.plural())): text.length,
        }}),
    }
}

fn content_types(preprocessor: &Preprocessor) -> Vec<&'static str> {
    let kinds = BodyKind::taken_by(preprocessor);
    kinds
        .iter()
        .flat_map(|kind| kind.types())
        .copied()
        .collect()
}

/// Steps of a series that is only an example.
const EXAMPLE_STEPS: u32 = 8;

/// A row that the model takes, for people who want to try it.
pub(super) fn example_row(inputs: &FittedInputs) -> Value {
    match inputs {
        FittedInputs::Columns(columns) => {
            let value = |column: &FittedColumn| match &column.kind {
                FittedKind::Numeric { fill, .. } => json!(fill),
                FittedKind::Category { levels, .. } => json!(levels.first()),
                FittedKind::Text { .. } => json!("some words"),
                FittedKind::Time(time) => json!(time.format.written(time.fill)),
            };
            let cell = |column: &FittedColumn| (column.name.clone(), value(column));
            Value::Object(columns.iter().map(cell).collect())
        }
        FittedInputs::Image(image) => {
            let pixel = vec![0; image.channels as usize];
            let row = vec![pixel; image.width as usize];
            json!(vec![row; image.height as usize])
        }
        FittedInputs::Series(series) => {
            let steps = vec![0.0; series.length.min(EXAMPLE_STEPS) as usize];
            match series.channels {
                1 => json!(steps),
                channels => json!(vec![steps; channels as usize]),
            }
        }
        FittedInputs::Text(_) => json!("some words"),
    }
}

fn page(model: &Model) -> String {
    let card = &model.card;
    let preprocessor = &card.preprocessor;
    let (what, names) = match preprocessor.task() {
        FittedTask::Classification { classes } => {
            ("one of the classes".to_string(), shortened(classes))
        }
        FittedTask::Regression { target, .. } => (
            "the value of".to_string(),
            shortened(std::slice::from_ref(target)),
        ),
    };
    let row = example_row(preprocessor.inputs()).to_string();
    let shown = match row.len() < 2000 {
        true => row,
        false => "…".to_string(),
    };
    let command =
        format!("curl -H 'Content-Type: application/json' -d '{{\"rows\": [{shown}]}}' …/predict");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Model of " (card.origin()) }
                style { (STYLE) }
            }
            body {
                h1 { "Model of " (card.origin()) }
                p { "It predicts " (what) " " (names) "." }
                p { "It takes " (inputs_in_words(preprocessor.inputs())) "." }
                p { "Network: " code { (card.architecture) } ", "
                    (card.architecture.cost().parameters) " parameters." }
                h2 { "Asking it" }
                pre { (command) }
                ul {
                    @for route in Route::ALL {
                        li { code { (route.path()) } ": " (route.purpose()) }
                    }
                }
            }
        }
    }
    .into_string()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;\
padding:0 1em;color:#222;background:#fff}pre,code{font-family:ui-monospace,monospace;\
background:#f3f3f3}pre{padding:.8em;white-space:pre-wrap;overflow-wrap:anywhere}";

fn inputs_in_words(inputs: &FittedInputs) -> String {
    match inputs {
        FittedInputs::Columns(columns) => {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            format!("rows of a table with the columns {}", shortened(&names))
        }
        FittedInputs::Image(image) => format!(
            "images of {} rows, {} columns and {} channel(s)",
            image.height, image.width, image.channels
        ),
        FittedInputs::Series(series) => format!(
            "series of {} channel(s) and up to {} steps",
            series.channels, series.length
        ),
        FittedInputs::Text(text) => {
            let units = text.unit.plural();
            format!("texts, of which it reads the first {} {units}", text.length)
        }
    }
}

fn shortened(names: &[String]) -> String {
    let mut listed: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    if names.len() > LISTED {
        listed.push("…");
    }
    listed.join(", ")
}
