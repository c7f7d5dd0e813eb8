def stored_inputs():
    """What was fitted, as the model's own description has it: what is known is too much to stand here."""
    with open(Path(__file__).resolve().with_name("model.json"), encoding="utf-8") as file:
        return json.load(file)["preprocessor"]["inputs"]
