//! A description of the server for machines, made for its model: OpenAPI 3.1.
//!
//! Columns, levels, classes and sizes are those of the model, so that a client made from it can only ask
//! what the model can answer.

use data::{
    FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries, FittedTask, Preprocessor,
    levels,
};
use serde_json::{Map, Value, json};

use super::{content::BodyKind, routes::Route, texts::example_row};
use crate::http::Access;

pub(super) fn openapi(preprocessor: &Preprocessor, access: Access) -> Value {
    let mut paths = Map::new();
    for route in Route::ALL {
        let path = match route {
            Route::Predict => json!({ "post": predict(preprocessor) }),
            _ => json!({ "get": asked(route, access) }),
        };
        paths.insert(route.path().to_string(), path);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "A model of lehr",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": { "schemas": {
            "Row": row(preprocessor.inputs()),
            "Rows": {
                "type": "object",
                "required": ["rows"],
                "additionalProperties": false,
                "properties": { "rows": {
                    "type": "array",
                    "maxItems": preprocessor.rows_of_request_max(),
                    "items": { "$ref": "#/components/schemas/Row" },
                }},
            },
            "Prediction": prediction(preprocessor.task()),
            "Answer": answer(),
            "Problem": problem(),
        }},
    });
    if access == Access::Token {
        document["components"]["securitySchemes"] =
            json!({ "token": { "type": "http", "scheme": "bearer" } });
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

/// A route that is only read.
fn asked(route: Route, access: Access) -> Value {
    let forms: &[&str] = match route {
        Route::Card => &["application/json", "text/html"],
        Route::OpenApi => &["application/json"],
        _ => &["text/plain"],
    };
    let content = forms.iter().map(|form| ((*form).to_string(), json!({})));
    let mut operation = json!({
        "summary": route.purpose(),
        "responses": { "200": {
            "description": route.purpose(),
            "content": Value::Object(content.collect()),
        }},
    });
    if access == Access::Token && route.access() == Access::Open {
        operation["security"] = json!([]);
    }
    operation
}

fn predict(preprocessor: &Preprocessor) -> Value {
    let mut bodies = Map::new();
    for kind in BodyKind::taken_by(preprocessor) {
        for name in kind.types() {
            let content = match kind {
                BodyKind::Json => json!({
                    "schema": { "$ref": "#/components/schemas/Rows" },
                    "example": { "rows": [example_row(preprocessor.inputs())] },
                }),
                BodyKind::Csv => json!({ "schema": {
                    "type": "string",
                    "description": "a header with the model's columns, and a line for each row",
                }}),
                BodyKind::Image => json!({}),
            };
            bodies.insert((*name).to_string(), content);
        }
    }
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/Problem" },
            }},
        })
    };
    json!({
        "summary": Route::Predict.purpose(),
        "requestBody": { "required": true, "content": bodies },
        "responses": {
            "200": {
                "description": "an answer for every row that can be used",
                "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/Answer" } },
                    "text/csv": { "schema": { "type": "string" } },
                },
            },
            "400": problem("the body is not understood; the message says where"),
            "401": problem("the token is missing or wrong"),
            "408": problem("the body took too long to arrive"),
            "413": problem("the body is too large, or has too many rows or columns"),
            "415": problem("the model does not take this content type"),
            "421": problem("the `Host` is not this machine"),
            "422": problem("a column is missing, or none of the rows can be used"),
            "500": problem("the server made a mistake; its standard error says more"),
            "503": problem("too much to do: come again after `Retry-After` seconds"),
        },
    })
}

/// What a row has to be.
fn row(inputs: &FittedInputs) -> Value {
    match inputs {
        FittedInputs::Columns(columns) => {
            let named = |column: &FittedColumn| (column.name.clone(), cell(column));
            json!({
                "type": "object",
                "description": "values by column; what is null or not there is missing",
                "minProperties": 1,
                "properties": Value::Object(columns.iter().map(named).collect()),
            })
        }
        FittedInputs::Image(image) => pixels(image),
        FittedInputs::Series(series) => steps(series),
        FittedInputs::Text(text) => json!({
            "type": ["string", "null"],
            "description": format!(
                "a text, of which the first {} {} are read", text.length, text.unit.plural(),
            ),
        }),
    }
}

fn pixels(image: &FittedImage) -> Value {
    let list = |count: u32, items: Value| json!({ "type": "array", "minItems": count, "maxItems": count, "items": items });
    let byte = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let rows = |pixel: Value| list(image.height, list(image.width, pixel));
    let mut forms = vec![
        rows(list(image.channels, byte.clone())),
        list(image.height * image.width * image.channels, byte.clone()),
    ];
    if image.channels == 1 {
        forms.push(rows(byte));
    }
    json!({
        "description": "pixels by rows, columns and channels, or all in a row",
        "anyOf": forms,
    })
}

fn steps(series: &FittedSeries) -> Value {
    let channel = json!({
        "type": "array",
        "maxItems": series.length,
        "items": { "type": ["number", "null"] },
    });
    let channels = json!({
        "type": "array",
        "minItems": series.channels,
        "maxItems": series.channels,
        "items": channel,
    });
    let forms = match series.channels {
        1 => json!([channel, channels]),
        _ => json!([channels]),
    };
    json!({
        "description": "a list of steps for each channel; one channel may stand alone; null is missing",
        "anyOf": forms,
    })
}

fn cell(column: &FittedColumn) -> Value {
    match &column.kind {
        FittedKind::Numeric { .. } => json!({ "type": ["number", "null"] }),
        FittedKind::Text { .. } => json!({ "type": ["string", "null"] }),
        FittedKind::Time(time) => json!({
            "type": ["string", "null"],
            "description": format!("a date written as {}", time.format),
        }),
        FittedKind::Category { levels, .. } => json!({
            "type": ["string", "number", "boolean", "null"],
            "description": "another word than those of the examples counts as never seen",
            "examples": levels::own(levels),
        }),
    }
}

fn prediction(task: &FittedTask) -> Value {
    let mut properties = json!({ "row": {
        "type": "integer",
        "minimum": 1,
        "description": "number of the row in the request",
    }});
    let needed = match task {
        FittedTask::Classification { classes } => {
            let share = |class: &String| {
                let share = json!({ "type": "number", "minimum": 0, "maximum": 1 });
                (class.clone(), share)
            };
            properties["label"] = json!({ "type": "string", "enum": classes });
            properties["probabilities"] = json!({
                "type": "object",
                "required": classes,
                "properties": Value::Object(classes.iter().map(share).collect()),
            });
            json!(["row", "label", "probabilities"])
        }
        FittedTask::Regression { target, .. } => {
            properties["value"] = json!({ "type": "number", "description": target });
            json!(["row", "value"])
        }
    };
    json!({ "type": "object", "required": needed, "properties": properties })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "required": ["rows"],
        "properties": {
            "rows": { "type": "array", "items": { "$ref": "#/components/schemas/Prediction" } },
            "errors": bad_rows(),
            "errors_not_listed": { "type": "integer" },
            "notices": { "type": "array", "items": { "type": "string" } },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string" }, "errors": bad_rows() },
    })
}

fn bad_rows() -> Value {
    json!({
        "type": "array",
        "description": "rows that could not be used",
        "items": {
            "type": "object",
            "required": ["row", "reason"],
            "properties": { "row": { "type": "integer" }, "reason": { "type": "string" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::of_columns;

    #[test]
    fn as_many_rows_are_described_as_are_taken() {
        // Of so many columns, 10,000 rows would become more numbers than a request may.
        let preprocessor = of_columns(2000);
        let document = openapi(&preprocessor, Access::Open);
        let rows = &document["components"]["schemas"]["Rows"]["properties"]["rows"];
        assert_eq!(rows["maxItems"], 8388);
        let one_more = json!({ "rows": vec![json!({}); 8389] }).to_string();
        let refused = preprocessor.rows_of_json(one_more.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("takes 8388"), "{refused}");
    }

    #[test]
    fn every_form_of_the_card_and_a_mistake_of_the_server_are_described() {
        let document = openapi(&of_columns(1), Access::Open);
        let card = &document["paths"]["/"]["get"]["responses"]["200"]["content"];
        let forms: Vec<&String> = card.as_object().unwrap().keys().collect();
        assert_eq!(forms, ["application/json", "text/html"]);
        let predicted = &document["paths"]["/predict"]["post"]["responses"];
        assert!(predicted["500"]["description"].is_string(), "{predicted}");
    }
}
