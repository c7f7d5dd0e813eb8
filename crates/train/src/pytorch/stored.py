def stored_inputs():
    """What was fitted, as the model's own description has it: known words are too many to stand here."""
    with open(Path(__file__).resolve().with_name("model.json"), encoding="utf-8") as file:
        return json.load(file)["preprocessor"]["inputs"]


def words_of(text):
    """A text split at white space; each piece is looked up as it is written."""
    return re.findall(r"[^ \t\n\r\f]+", text)
