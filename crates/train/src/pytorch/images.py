def read_images(path):
    """Pixels of all images at a path, and the number of each; what cannot be read is passed over."""
    if path.suffix in (".npz", ".npy"):
        pixels = inputs_in(path)
        return pixels, list(range(1, len(pixels) + 1))
    if "images-idx3-ubyte" in path.name:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        count, height, width = numpy.frombuffer(raw, ">u4", 3, 4)
        pixels = numpy.frombuffer(raw, numpy.uint8, offset=16).reshape(count, height, width)
        return pixels, list(range(1, len(pixels) + 1))
    return read_files(path)


def read_files(path):
    """One image, or those of a folder at any depth, in the order of their paths.

    Decoders of JPEG differ in the last bit, and so may colours that are read as gray or have 16 bits;
    probabilities may then differ by some thousandths from lehr's own.
    """
    from PIL import Image

    pixels, numbers = [], []
    files = [path]
    if path.is_dir():
        files = sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())
    endings = {ending for ending, kind in Image.registered_extensions().items()}
    files = [file for file in files if file.suffix.lower() in endings or file == path]
    for number, file in enumerate(files, 1):
        try:
            with Image.open(file) as image:
                pixels.append(pixels_of(image))
                name = file.relative_to(path).as_posix()
                numbers.append((name, number) if path.is_dir() else number)
        except OSError as error:
            print(f"row {number} is passed over: `{file}`: {error}", file=sys.stderr)
    return numpy.array(pixels, numpy.uint8), numbers


def pixels_of(image):
    """Height x width x channels: upright, without transparency, of the size that was trained on."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Gray of 16 bits, of which Pillow would take all that is above 255 for white.
        deep = numpy.asarray(image).astype(numpy.int64).clip(0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(numpy.uint8))
    is_gray = image.mode in ("1", "L", "LA")
    pixels = numpy.asarray(image.convert("L" if is_gray and CHANNELS == 1 else "RGB"), numpy.uint32)
    if CHANNELS == 1 and not is_gray:
        # As screens weigh colours.
        pixels = numpy.floor(pixels @ numpy.array([0.212639, 0.715169, 0.072192]) + 0.5)
    pixels = pixels.reshape(*pixels.shape[:2], CHANNELS)
    if pixels.shape[:2] != (HEIGHT, WIDTH):
        turned = resized(resized(pixels, HEIGHT).swapaxes(0, 1), WIDTH)
        pixels = numpy.floor(turned.swapaxes(0, 1).astype(numpy.float64) + 0.5)
    return pixels


def resized(rows, count):
    """Rows of pixels made fewer or more: each new one is a triangle of old ones around its centre."""
    one, half = numpy.float32(1.0), numpy.float32(0.5)
    ratio = numpy.float32(len(rows)) / numpy.float32(count)
    centres = (numpy.arange(count, dtype=numpy.float32) + half) * ratio - half
    distances = numpy.arange(len(rows), dtype=numpy.float32) - centres[:, None]
    shares = numpy.maximum(one - numpy.abs(distances / max(ratio, one)), 0)
    shares /= shares.cumsum(axis=1)[:, -1:]
    # Added one by one and in float32, as lehr does it: what is just a half must be rounded alike.
    mixed = numpy.zeros((count, *rows.shape[1:]), numpy.float32)
    for place, row in enumerate(rows.astype(numpy.float32)):
        mixed += shares[:, place, None, None] * row
    return mixed


def prepared(source):
    """What the network takes, and the number of each image: of a path, or of pixels from 0 to 255."""
    if isinstance(source, (str, Path)):
        pixels, numbers = read_images(Path(source))
    else:
        pixels, numbers = numpy.asarray(source), list(range(1, len(source) + 1))
    if pixels.shape[1:3] != (HEIGHT, WIDTH):
        raise ValueError(f"the images are {pixels.shape[1:]}, those of the model {(HEIGHT, WIDTH, CHANNELS)}")
    pixels = pixels.reshape(-1, HEIGHT, WIDTH, CHANNELS).astype(numpy.float32)
    scaled = (pixels - PIXEL_SHIFT) / PIXEL_SCALE
    return torch.from_numpy(scaled).movedim(-1, 1), numbers
