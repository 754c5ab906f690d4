"""Small pictures of every kind that twist-decode reads, and beside each NAME.EXT its pixels as Pillow gives them:
NAME.EXT.want is convert("RGB") of the opened file as PPM, NAME.EXT.upright of ImageOps.exif_transpose of it."""
import glob
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

here = os.path.dirname(os.path.abspath(__file__))
H, W = 17, 23


def picture(channels, top=255):
    """Waves, an edge and a fine grid: something for every part of a codec to get wrong."""
    y, x, c = np.mgrid[0:H, 0:W, 0:channels].astype(float)
    v = 0.5 + 0.3 * np.sin(x * (0.5 + 0.2 * c) + c) + 0.2 * np.cos(y * 0.9 - x * 0.3 * c)
    v = np.where(x + y > 26, 1 - v, v) + 0.06 * ((x * 7 + y * 13 + c * 5) % 4 - 1.5)
    return np.clip(np.round(v * top), 0, top).astype(np.uint16 if top > 255 else np.uint8)


def save(name, data):
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)


def encoded(image, kind, **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def packed(row, bits):
    """Numbers of so many bits one after the other, from the high bit of each byte down."""
    text = "".join(format(int(v), f"0{bits}b") for v in row)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


# PNG of any colour type, depth and interlace: Pillow writes some of them only.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(pixels, colour, depth, interlaced=False, chunks=()):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def rows(a):
        out = b""
        for row in a.reshape(a.shape[0], -1):
            if depth == 16:
                out += b"\0" + row.astype(">u2").tobytes()
            elif depth == 8:
                out += b"\0" + row.astype(np.uint8).tobytes()
            else:
                out += b"\0" + packed(row, depth)
        return out

    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    data = b"".join(rows(p) for p in passes if p.size)
    head = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(data))
            + chunk(b"IEND", b""))


def make_png():
    palette = (np.arange(768) * 37 % 256).astype(np.uint8).tobytes()
    for depth in 1, 2, 4, 8, 16:
        save(f"grey{depth}.png", png(picture(1, 2**depth - 1), 0, depth))
    for depth in 8, 16:
        save(f"rgb{depth}.png", png(picture(3, 2**depth - 1), 2, depth))
        save(f"grey-alpha{depth}.png", png(picture(2, 2**depth - 1), 4, depth))
        save(f"rgb-alpha{depth}.png", png(picture(4, 2**depth - 1), 6, depth))
    for depth in 1, 2, 4, 8:
        save(f"palette{depth}.png", png(picture(1, 2**depth - 1), 3, depth, chunks=[(b"PLTE", palette[:3 * 2**depth])]))
    save("palette-alpha.png", png(picture(1), 3, 8, chunks=[(b"PLTE", palette), (b"tRNS", bytes(range(256)))]))
    save("grey-trns.png", png(picture(1), 0, 8, chunks=[(b"tRNS", b"\0\x80")]))
    save("rgb-trns.png", png(picture(3), 2, 8, chunks=[(b"tRNS", b"\0\x80\0\x80\0\x80")]))
    save("gamma.png", png(picture(3), 2, 8, chunks=[(b"gAMA", struct.pack(">I", 100000))]))
    save("interlaced.png", png(picture(3), 2, 8, True))
    save("interlaced-grey1.png", png(picture(1, 1), 0, 1, True))
    save("interlaced-grey16.png", png(picture(1, 65535), 0, 16, True))


def make_jpeg():
    rgb, grey, cmyk = Image.fromarray(picture(3)), Image.fromarray(picture(1)[..., 0]), Image.fromarray(picture(4), "CMYK")
    for name, sampling in ("444", 0), ("422", 1), ("420", 2):
        save(f"s{name}.jpg", encoded(rgb, "JPEG", quality=85, subsampling=sampling))
    save("progressive.jpg", encoded(rgb, "JPEG", quality=70, progressive=True))
    save("progressive-grey.jpg", encoded(grey, "JPEG", quality=70, progressive=True))
    save("optimised.jpg", encoded(rgb, "JPEG", quality=30, optimize=True))
    save("restart.jpg", encoded(rgb, "JPEG", quality=85, restart_marker_blocks=1))
    save("grey.jpg", encoded(grey, "JPEG", quality=85))
    save("rgb.jpg", encoded(rgb, "JPEG", quality=85, keep_rgb=True))
    adobe = encoded(cmyk, "JPEG", quality=85)
    save("cmyk.jpg", adobe)
    at = adobe.index(b"Adobe")
    save("ycck.jpg", adobe[:at + 11] + b"\2" + adobe[at + 12:])  # the transform: the same numbers, read as YCCK
    save("cmyk-no-adobe.jpg", adobe[:at - 4] + adobe[at + 12:])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"orientation{orientation}.jpg", encoded(rgb, "JPEG", quality=85, exif=exif))
        if orientation == 6:
            save("orientation6.png", encoded(rgb, "PNG", exif=exif))


def make_webp():
    rgb, rgba = Image.fromarray(picture(3)), Image.fromarray(picture(4), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 8
    save("lossy.webp", encoded(rgb, "WEBP", quality=60))
    save("lossless.webp", encoded(rgb, "WEBP", lossless=True))
    save("lossy-alpha.webp", encoded(rgba, "WEBP", quality=80, exact=True))
    save("lossless-alpha.webp", encoded(rgba, "WEBP", lossless=True, exact=True))
    save("animated.webp", encoded(rgba, "WEBP", save_all=True, append_images=[rgb.rotate(180)], lossless=True, exact=True))
    save("orientation8.webp", encoded(rgb, "WEBP", lossless=True, exif=exif))


def make_gif():
    grey, rgb = Image.fromarray(picture(1)[..., 0]), Image.fromarray(picture(3))
    few = rgb.quantize(20, method=Image.Quantize.FASTOCTREE)
    save("grey.gif", encoded(grey, "GIF"))
    save("palette.gif", encoded(few, "GIF", interlace=0))
    save("interlaced.gif", encoded(few, "GIF", interlace=1))
    save("transparent.gif", encoded(few, "GIF", transparency=3))
    save("animated.gif", encoded(few, "GIF", save_all=True, append_images=[rgb.rotate(180)]))
    # the frame of palette.gif on a larger screen, without and with a transparent colour; beyond the screen; cut short of it
    data = bytearray(encoded(few, "GIF", interlace=0))
    at = data.index(b"," + bytes(4) + struct.pack("<HH", W, H))
    for name, screen, place, control in [("offset", (40, 30), (5, 9), b""), ("offset-transparent", (40, 30), (5, 9), b"!\xf9\4\1\0\0\2\0"),
                                         ("beyond", (10, 10), (2, 1), b"")]:
        new = data[:6] + struct.pack("<HH", *screen) + data[10:13 + (3 << (data[10] & 7) + 1)] + control
        save(name + ".gif", new + b"," + struct.pack("<HH", *place) + data[at + 5:])


def bmp(bits, rows, palette=b"", compression=0, masks=b"", size=40, height=H):
    """Pixels given as the bytes of the file; the header of `size` bytes."""
    if size == 12:
        head = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        head = struct.pack("<IIiHHIIIIII", size, W, height, 1, bits, compression, len(rows), 0, 0, 0, 0)
        head += masks + bytes(size - 40 - len(masks) if size > 40 else 0)
    at = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + head + palette + rows


def bmp_rows(values, bits):
    out = b""
    for row in values:
        data = packed(row, bits) if bits < 8 else row.tobytes()
        out += data + bytes(-len(data) % 4)
    return out


def make_bmp():
    rgb, grey = Image.fromarray(picture(3)), Image.fromarray(picture(1)[..., 0])
    palette = (np.arange(1024) * 37 % 256).astype(np.uint8).tobytes()
    few = picture(1, 15)[..., 0]
    save("rgb24.bmp", encoded(rgb, "BMP"))
    save("grey8.bmp", encoded(grey, "BMP"))
    save("bit1.bmp", encoded(grey.convert("1"), "BMP"))
    save("rgba32.bmp", encoded(Image.fromarray(picture(4), "RGBA"), "BMP"))
    save("palette4.bmp", bmp(4, bmp_rows(few, 4), palette[:64]))
    save("palette8.bmp", bmp(8, bmp_rows(few * 16, 8), palette))
    save("palette1.bmp", bmp(1, bmp_rows(few // 8, 1), palette[:8]))
    save("short-palette.bmp", bmp(8, bmp_rows(few * 16, 8), palette).replace(struct.pack("<IIII", 0, 0, 0, 0), struct.pack("<IIII", 0, 0, 256, 0), 1))
    save("os2.bmp", bmp(8, bmp_rows(few * 16, 8), palette[:768], size=12))
    save("top-down.bmp", bmp(8, bmp_rows(few * 16, 8), palette, height=-H))
    wide = picture(1, 65535)[..., 0].astype("<u2")
    save("rgb15.bmp", bmp(16, bmp_rows(wide, 16)))
    save("rgb16.bmp", bmp(16, bmp_rows(wide, 16), compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
    save("rgb32.bmp", bmp(32, bmp_rows(picture(4).view("<u4")[..., 0], 32)))
    save("masks32.bmp", bmp(32, bmp_rows(picture(4).view("<u4")[..., 0], 32), compression=3, size=56,
                            masks=struct.pack("<IIII", 0xFF000000, 0xFF0000, 0xFF00, 0xFF)))
    # run lengths: a run, pixels as they are (odd in number), an end of line early, a step right and up, the rest in runs
    coded = b"\5\1" + b"\0\3abc\0" + b"\7\2" + b"\0\0" + b"\0\2\3\1" + b"\4\5" + b"\0\0" + b"".join(bytes([W, i]) + b"\0\0" for i in range(H)) + b"\0\1"
    save("rle8.bmp", bmp(8, coded, palette, compression=1))
    coded = b"\5\x12" + b"\0\5\x12\x34\x50\0" + b"\7\x98" + b"\0\0" + b"\0\2\3\1" + b"\4\x56" + b"\0\0" + b"".join(bytes([W, 17 * (i % 15) + 1]) + b"\0\0" for i in range(H)) + b"\0\1"
    save("rle4.bmp", bmp(4, coded, palette[:64], compression=2))


def make_pnm():
    def head(kind, top=None):
        return b"P%d # a comment\n%d\n# another\n %d\n" % (kind, W, H) + (b"%d\n" % top if top else b"")

    def plain(values):
        return b"# and one more\n" + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in values) + b"\n"

    bits = picture(1, 1)[..., 0]
    save("plain.pbm", head(1) + b"\n".join(b"".join(b"%d" % v for v in row) for row in bits) + b"\n")
    save("binary.pbm", head(4) + np.packbits(bits, axis=1).tobytes())
    for top in 255, 15, 100, 1000, 65535:
        for kind, channels, ending in (5, 1, "pgm"), (6, 3, "ppm"):
            values = picture(channels, top)
            data = values.astype(">u2" if top > 255 else "u1").tobytes()
            save(f"plain{top}.{ending}", head(kind - 3, top) + plain(values))
            save(f"binary{top}.{ending}", head(kind, top) + data)


def tiff(pixels, bits, photometric, order="<", big=False, extra=(), sample_format=1, planar=1, fill=1, compression=1, rows=H, tile=None, tags=()):
    """Pixels are an array [H, W, samples] of the file's numbers, without the bytes' order; tags: (tag, 3 (SHORT) or 4 (LONG), values)."""
    number = {8: "u1", 16: "u2", 32: "f4" if sample_format == 3 else "u4"}

    def stored(block):
        if bits in number:
            return block.astype(order + number[bits]).tobytes()
        return b"".join(packed(row.ravel(), bits) for row in block)

    samples, high, wide = pixels.shape[2], *(tile or (rows, W))
    blocks = []
    for plane in [pixels] if planar == 1 else [pixels[..., i:i + 1] for i in range(samples)]:
        if tile:
            plane = np.pad(plane, ((0, -H % high), (0, -W % wide), (0, 0)))
        for y in range(0, plane.shape[0], high):
            for x in range(0, plane.shape[1], wide):
                data = stored(plane[y:y + high, x:x + wide])
                if fill == 2:
                    data = bytes(int(f"{v:08b}"[::-1], 2) for v in data)
                blocks.append(zlib.compress(data) if compression == 8 else data)
    places, at = [], 16 if big else 8
    for data in blocks:
        places.append(at)
        at += len(data) + len(data) % 2
    entries = [(256, 4, [W]), (257, 4, [H]), (258, 3, [bits] * samples), (259, 3, [compression]), (262, 3, [photometric]), (266, 3, [fill]),
               (277, 3, [samples]), (284, 3, [planar]), (339, 3, [sample_format] * samples)]
    entries += [(322, 4, [wide]), (323, 4, [high]), (324, 4, places), (325, 4, [len(b) for b in blocks])] if tile else [
        (273, 4, places), (278, 4, [rows]), (279, 4, [len(b) for b in blocks])]
    entries += [(338, 3, list(extra))] if extra else []
    entries = sorted(entries + list(tags))
    offset, count = ("Q", "Q") if big else ("I", "H")
    directory, beyond = struct.pack(order + count, len(entries)), b""
    end = at + len(directory) + len(entries) * (20 if big else 12) + struct.calcsize(offset)
    for tag, kind, values in entries:
        data = b"".join(struct.pack(order + {3: "H", 4: "I"}[kind], v) for v in values)
        directory += struct.pack(order + "HH" + offset, tag, kind, len(values))
        if len(data) <= struct.calcsize(offset):
            directory += data.ljust(struct.calcsize(offset), b"\0")
        else:
            directory += struct.pack(order + offset, end + len(beyond))
            beyond += data + bytes(len(data) % 2)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, at) if big else (42, at)))
    return head + b"".join(b + bytes(len(b) % 2) for b in blocks) + directory + bytes(struct.calcsize(offset)) + beyond


def make_tiff():
    rgb, grey = Image.fromarray(picture(3)), Image.fromarray(picture(1)[..., 0])
    palette = [i * 4621 % 65536 for i in range(768)]
    for bits in 1, 2, 4, 8:
        values = picture(1, 2**bits - 1)
        save(f"grey{bits}.tif", tiff(values, bits, 1))
        save(f"white-is-0-{bits}.tif", tiff(values, bits, 0, ">"))
        save(f"palette{bits}.tif", tiff(values, bits, 3, tags=[(320, 3, palette[:3 * 2**bits])]))
        save(f"fill-order-{bits}.tif", tiff(values, bits, 1, fill=2))
    deep = picture(1, 600).astype(np.int64) - 100
    save("grey12.tif", tiff(np.maximum(deep, 0), 12, 1))
    for order, name in ("<", "little"), (">", "big"):
        save(f"grey16-{name}.tif", tiff(np.maximum(deep, 0), 16, 1, order))
        save(f"signed16-{name}.tif", tiff(deep & 0xFFFF, 16, 1, order, sample_format=2))
        save(f"signed32-{name}.tif", tiff(deep & 0xFFFFFFFF, 32, 1, order, sample_format=2))
        save(f"float-{name}.tif", tiff(deep * 0.7, 32, 1, order, sample_format=3))
        save(f"rgb16-{name}.tif", tiff(picture(3, 65535), 16, 2, order))
        save(f"rgb16-deflate-{name}.tif", tiff(picture(3, 65535), 16, 2, order, compression=8, planar=2, rows=5))
    save("unsigned32.tif", tiff(deep & 0xFFFFFFFF, 32, 1))
    save("grey-alpha.tif", tiff(picture(2), 8, 1, extra=(2,)))
    save("grey-unused.tif", tiff(picture(2), 8, 1, extra=(0,)))
    save("palette-alpha.tif", tiff(picture(2), 8, 3, extra=(2,), tags=[(320, 3, palette)]))
    save("rgb8.tif", tiff(picture(3), 8, 2, rows=5))
    save("rgb-alpha.tif", tiff(picture(4), 8, 2, extra=(2,)))
    save("rgb-alpha-no-tag.tif", tiff(picture(4), 8, 2))
    save("rgb-premultiplied.tif", tiff(picture(4), 8, 2, extra=(1,)))
    save("rgb-premultiplied16.tif", tiff(picture(4, 65535), 16, 2, extra=(1,)))
    save("rgb-three-unused.tif", tiff(picture(6), 8, 2, extra=(0, 0, 0)))
    save("cmyk.tif", tiff(picture(4), 8, 5))
    save("cmyk16.tif", tiff(picture(4, 65535), 16, 5, ">"))
    save("planes.tif", tiff(picture(3), 8, 2, planar=2, rows=7))
    save("planes-premultiplied.tif", tiff(picture(4), 8, 2, extra=(1,), planar=2, rows=7, compression=8))
    save("tiles.tif", tiff(picture(3), 8, 2, tile=(16, 16)))
    save("tiles-planes.tif", tiff(picture(3), 8, 2, tile=(16, 16), planar=2, compression=8))
    save("tiles-grey1.tif", tiff(picture(1, 1), 1, 1, tile=(16, 16), compression=8))
    save("big.tif", tiff(picture(3), 8, 2, big=True))
    save("big-endian.tif", tiff(picture(3), 8, 2, ">"))
    for name, how in ("lzw", {}), ("lzw-predictor", {"tiffinfo": {317: 2}}), ("packbits", {}), ("adobe-deflate", {}), ("jpeg", {"quality": 85}):
        save(name + ".tif", encoded(rgb, "TIFF", compression="tiff_" + name.replace("-", "_").replace("_predictor", ""), **how))
    save("jpeg-grey.tif", encoded(grey, "TIFF", compression="jpeg"))
    save("jpeg-cmyk.tif", encoded(Image.fromarray(picture(4), "CMYK"), "TIFF", compression="jpeg"))
    for name in "group3", "group4", "tiff_ccitt":
        save(f"{name.replace('tiff_', '')}.tif", encoded(grey.convert("1"), "TIFF", compression=name))
    save("pages.tif", encoded(rgb, "TIFF", save_all=True, append_images=[grey]))
    for orientation in range(2, 9):  # which Pillow turns upright at once
        save(f"orientation{orientation}.tif", tiff(picture(3), 8, 2, tags=[(274, 3, [orientation])]))


def main():
    for old in glob.glob(os.path.join(here, "*.*")):
        if not old.endswith(".py"):
            os.remove(old)
    make_png()
    make_jpeg()
    make_webp()
    make_gif()
    make_bmp()
    make_pnm()
    make_tiff()
    for path in sorted(glob.glob(os.path.join(here, "*.*"))):
        if path.endswith(".py"):
            continue
        with Image.open(path) as image:
            image.convert("RGB").save(path + ".want", "PPM")
        if "orientation" in path:
            with Image.open(path) as image:
                ImageOps.exif_transpose(image).convert("RGB").save(path + ".upright", "PPM")


if __name__ == "__main__":
    main()
