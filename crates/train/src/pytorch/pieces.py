def words_of(text):
    """A text split at white space; each piece is looked up as it is written."""
    return re.findall(r"[^ \t\n\r\f]+", text)
