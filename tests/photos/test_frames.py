"What keypoints count in: whoever wrote and reads them, they end in the pixels of their images or are refused."

import json

import numpy as np
import pytest
import trees
from PIL import Image

from posegen.core import UserError
from posegen.photos.inputs import read_given, read_photo
from posegen.photos.keypoints import (
    CSV_HEADER,
    write_coco_results,
    write_keypoint_csv,
    write_openpose_json,
)
from posegen.photos.layouts import Rules, list_source
from posegen.pose import KEYPOINTS
from posegen.transfer import own_pose, wanted_pose
from posegen.transfer.sequences import read_motion

SIZES = [(256, 256), (300, 420), (640, 400), (512, 768)]  # of the photos: square, upright, wide
STANDING = trees.STANDING / 256  # fractions of a picture
BEYOND = STANDING.copy()
BEYOND[10, 1], BEYOND[4, 0] = 1.04, -0.02  # a foot below the picture and a hand beside it


def flat(points, confidence=1.0):
    return np.column_stack([points, np.broadcast_to(confidence, len(points))]).ravel().tolist()


def openpose(points, **more):
    return {"version": 1.3, "people": [{"pose_keypoints_2d": flat(points)}], **more}


@pytest.fixture
def photos(tmp_path):
    "Three people with four photos each, of `SIZES`."
    for person in "abc":
        (tmp_path / "photos" / person).mkdir(parents=True)
        for number, size in enumerate(SIZES):
            Image.new("RGB", size, (90, 120, 150)).save(tmp_path / "photos" / person / f"{number}.png")
    return tmp_path / "photos"


def write_each(photos, content_of, ending="_keypoints.json"):
    "A JSON file for each photo, beside the folder, made by `content_of` from width and height."
    folder = photos.parent / "keys"
    for path in sorted(photos.rglob("*.png")):
        target = folder / path.relative_to(photos).with_name(path.stem + ending)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content_of(*Image.open(path).size)))
    return folder


def poses_of(listing):
    return {entry.name: entry.keypoints for entry in listing.entries}


WRITERS = {
    "pixels": lambda width, height: openpose(BEYOND * (width, height)),
    "fractions": lambda width, height: openpose(BEYOND),
    "fractions of a canvas": lambda width, height: openpose(
        BEYOND, canvas_width=width // 2, canvas_height=height // 2
    ),
    "canvas of the photo": lambda width, height: openpose(
        BEYOND * (width, height), canvas_width=width, canvas_height=height
    ),
    "smaller canvas": lambda width, height: openpose(
        BEYOND * (width / 4, height / 4), canvas_width=width / 4, canvas_height=height / 4
    ),
    "larger canvas": lambda width, height: openpose(
        BEYOND * (width * 3, height * 3), canvas_width=width * 3, canvas_height=height * 3
    ),
    "canvas of multiples of 64": lambda width, height: openpose(
        BEYOND * (round(width / 64) * 64, round(height / 64) * 64),
        canvas_width=round(width / 64) * 64,
        canvas_height=round(height / 64) * 64,
    ),
    "ComfyUI": lambda width, height: (
        [openpose(BEYOND * 256, canvas_width=256, canvas_height=256)]
        if width == height
        else [openpose(BEYOND, canvas_width=width, canvas_height=height)]
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("ending", ["_keypoints.json", ".json"])
def test_a_folder_of_json_in_any_frame(photos, kind, ending):
    listing = list_source(photos, keypoints=write_each(photos, WRITERS[kind], ending))
    assert len(listing.entries) == 12 and not listing.warnings
    for name, pose in poses_of(listing).items():
        assert np.abs(pose[:, :2] - BEYOND * Image.open(photos / name).size).max() < 0.01, (kind, name)
        assert (pose[:, 2] == 1).all()


@pytest.mark.parametrize("kind", WRITERS)
def test_the_photo_of_a_transfer_in_any_frame(tmp_path, kind):
    for size in SIZES:
        Image.new("RGB", size).save(tmp_path / "me.png")
        (tmp_path / "me.json").write_text(json.dumps(WRITERS[kind](*size)))
        found, messages = own_pose(read_photo(tmp_path / "me.png"), tmp_path / "me.json", "only", None)
        assert np.abs(found[:, :2] - BEYOND * size).max() < 0.01 and not messages, (kind, size)


def test_a_large_photo_that_is_reduced(tmp_path):
    "The keypoints follow the pixels that are kept, not those of the file."
    Image.new("RGB", (4000, 6000)).save(tmp_path / "me.png")
    (tmp_path / "me.json").write_text(json.dumps(WRITERS["smaller canvas"](4000, 6000)))
    photo = read_photo(tmp_path / "me.png")
    found, _ = own_pose(photo, tmp_path / "me.json", "only", None)
    assert photo.original == (4000, 6000) and photo.scale < 1
    assert np.abs(found[:, :2] / photo.scale - BEYOND * (4000, 6000)).max() < 0.01


def test_photos_that_their_camera_turned(tmp_path):
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(4):
        Image.new("RGB", (640, 400)).save(tmp_path / "photos" / f"{number}.jpg", exif=exif)
        (tmp_path / "photos" / f"{number}_keypoints.json").write_text(json.dumps(openpose(BEYOND)))
    for pose in poses_of(list_source(tmp_path / "photos")).values():
        assert np.abs(pose[:, :2] - BEYOND * (400, 640)).max() < 0.01
    turned = openpose(STANDING * (640, 400), canvas_width=640, canvas_height=400)
    for path in (tmp_path / "photos").glob("*.json"):
        path.write_text(json.dumps(turned))
    with pytest.raises(
        UserError, match="canvas of 640 x 400 pixels, but its image is 400 x 640, which is another shape"
    ):
        list_source(tmp_path / "photos")


def test_one_canvas_of_another_shape_costs_one_image(photos):
    keys = write_each(photos, WRITERS["pixels"])
    (keys / "b" / "1_keypoints.json").write_text(
        json.dumps(openpose(BEYOND * 99, canvas_width=99, canvas_height=300))
    )
    listing = list_source(photos, keypoints=keys)
    assert len(listing.entries) == 11
    assert listing.rejected == [
        (
            "b/1.png",
            "keypoint file counts in a canvas of 99 x 300 pixels, but its image is 300 x 420, which is another shape",
        )
    ]


@pytest.mark.parametrize("content", ["json", "table", "results"])
@pytest.mark.parametrize("share", [1.0, 11 / 12])
def test_keypoints_of_thumbnails_are_refused(photos, content, share):
    "256-pixel keypoints of 1024-pixel photos, also if one of twelve people is another's."
    paths = sorted(photos.rglob("*.png"))
    for path in paths:
        Image.new("RGB", (1024, 1024)).save(path)
    points = {
        path: STANDING * (256 if number < share * 12 - 0.5 else 1024) for number, path in enumerate(paths)
    }
    names = {path: path.relative_to(photos).as_posix() for path in paths}
    if content == "json":
        keys = write_each(photos, lambda *_: None)
        for path in paths:
            target = keys / path.relative_to(photos).with_name(path.stem + "_keypoints.json")
            target.write_text(json.dumps(openpose(points[path])))
    elif content == "table":
        keys = photos.parent / "keys.csv"
        rows = [
            f"{names[path]}: {points[path][:, 1].tolist()}: {points[path][:, 0].tolist()}" for path in paths
        ]
        keys.write_text("\n".join([CSV_HEADER, *rows]))
    else:
        keys = photos.parent / "keys.json"
        keys.write_text(
            json.dumps([{"image_id": names[path], "keypoints": coco(points[path])} for path in paths])
        )
    with pytest.raises(
        UserError, match="ll keypoints in .*keys.* lie within 236 pixels, but the images measure 1024"
    ):
        list_source(photos, keypoints=keys)
    listing = list_source(photos, keypoints=keys, rules=Rules(frame="256x256"))
    assert np.abs(poses_of(listing)["a/0.png"][2:, :2] - 1024 * STANDING[2:]).max() < 0.01
    assert list_source(photos, keypoints=keys, rules=Rules(frame="own")).entries[0].keypoints[10, 1] == 236


def coco(points):
    from posegen.photos.formats import COCO_17

    return flat(np.array([points[KEYPOINTS.index(name)] for name in COCO_17]))


def test_keypoints_of_larger_pictures_are_refused(photos):
    keys = write_each(photos, lambda width, height: openpose(STANDING * (4 * width, 4 * height)))
    with pytest.raises(UserError, match="lie beyond their images, .* --rule frame=256, .*frame=512x768"):
        list_source(photos, keypoints=keys)


@pytest.mark.parametrize(
    ("origin", "refused"), [((0.5, 0.5), True), ((1, 0), True), ((0, 1), True), ((0.1, 0.05), False)]
)
def test_keypoints_that_count_from_elsewhere_are_refused(photos, origin, refused):
    "From the middle of each picture, or from its right or lower edge; a person half out of the picture may be."
    keys = write_each(photos, lambda width, height: openpose((STANDING - origin) * (width, height)))
    if refused:
        with pytest.raises(UserError, match="lie left of their images or above .*--rule frame=own"):
            list_source(photos, keypoints=keys)
    listing = list_source(photos, keypoints=keys, rules=Rules(frame="own" if refused else "auto"))
    assert len(listing.entries) == 12
    for name, pose in poses_of(listing).items():
        there = (STANDING - origin) * Image.open(photos / name).size
        assert np.abs(pose[:, :2] - there).max() < 0.01


@pytest.mark.parametrize("place", ["beside", "images", "missing"])
def test_the_labels_of_one_photo_as_a_pose(tmp_path, place):
    "Ultralytics writes fractions of the image, which lies beside the labels, or in `images` for `labels`."
    labels = tmp_path / "data/labels/val/p.txt"
    labels.parent.mkdir(parents=True)
    points = np.column_stack([np.array(coco(STANDING)).reshape(-1, 3)[:, :2], np.full(17, 2.0)])
    labels.write_text(" ".join(f"{one:.6f}" for one in [0, 0.5, 0.5, 0.4, 0.9, *points.ravel()]))
    image = {"beside": labels.with_suffix(".JPG"), "images": tmp_path / "data/images/val/p.png"}.get(place)
    if image is None:
        with pytest.raises(UserError, match="put its image beside it, under the same name, or into a folder"):
            read_given(labels)
        return
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 420)).save(image)
    given = read_given(labels)
    rows = [KEYPOINTS.index(name) for name in ("nose", "right_wrist", "left_ankle")]
    assert np.abs(given.pose[rows, :2] - STANDING[rows] * (300, 420)).max() < 0.01
    assert given.canvas == (300, 420)
    labels.with_name("q.txt").write_text(labels.read_text())
    Image.open(image).save(image.with_stem("q"))
    moving = read_motion([labels, labels.with_name("q.txt")]).poses
    assert np.abs(moving - given.pose).max() < 0.01


@pytest.mark.parametrize(
    "name", ["p.npy", "p.npz", "p.pkl", "p.jsonl", "p.yaml", "p.xml", "p.tsv", "pose", "p.m"]
)
def test_poses_in_forms_that_are_not_read(tmp_path, name):
    np.save(tmp_path / "p.npy", np.zeros((18, 3)))
    np.savez(tmp_path / "p.npz", pose=np.zeros((18, 3)))
    for other in ("p.pkl", "p.jsonl", "p.yaml", "p.xml", "p.tsv", "pose", "p.m"):
        (tmp_path / other).write_text("keypoints: [1, 2, 3]")
    with pytest.raises(
        UserError, match=rf"{name} is neither a picture .* nor a file of keypoints \(.csv, .json"
    ):
        wanted_pose(tmp_path / name, "largest", find=None)


@pytest.mark.parametrize("where", [(0.0, 0.0), (0.3, 0.1), (0.5, 0.5), (0.1, 0.6)])
def test_people_who_are_small_are_no_thumbnails(photos, where):
    "Wherever they stand, as long as not all keep to the upper left quarter."
    corners = iter(np.resize([where, (0.45, 0.2), where, where], (12, 2)))
    keys = write_each(
        photos, lambda width, height: openpose((STANDING * 0.4 + next(corners)) * (width, height))
    )
    assert len(list_source(photos, keypoints=keys).entries) == 12


def test_two_photos_with_people_in_the_corner_are_said(tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (1024, 1024)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps(openpose(STANDING * 256)))
    warnings = list_source(tmp_path).warnings
    assert any(one.startswith(f"All keypoints in {tmp_path} lie within 236 pixels") for one in warnings), (
        warnings
    )
    found = read_given(tmp_path / "a_keypoints.json", size=(1024, 1024))
    assert "upper left quarter of the photo of 1024 x 1024 pixels" in found.remarks[0]
    assert not read_given(tmp_path / "a_keypoints.json").remarks


@pytest.mark.parametrize("reader", ["folder", "photo", "pose"])
def test_positions_from_minus_one_to_one_are_refused(tmp_path, reader):
    Image.new("RGB", (256, 256)).save(tmp_path / "me.png")
    (tmp_path / "me_keypoints.json").write_text(json.dumps(openpose(2 * STANDING - 1)))
    with pytest.raises(UserError, match="holds positions between -1 and 1.*--keypoint_scale 0"):
        if reader == "folder":
            list_source(tmp_path)
        else:
            read_given(tmp_path / "me_keypoints.json", size=(256, 256) if reader == "photo" else None)


def test_fractions_without_a_shape_are_refused(tmp_path):
    (tmp_path / "pose.json").write_text(json.dumps(openpose(BEYOND)))
    with pytest.raises(
        UserError, match='whose shape it does not tell: add "canvas_width" and "canvas_height"'
    ):
        read_given(tmp_path / "pose.json")
    (tmp_path / "pose.json").write_text(json.dumps(openpose(BEYOND, canvas_width=300, canvas_height=420)))
    assert np.abs(read_given(tmp_path / "pose.json").pose[:, :2] - BEYOND * (300, 420)).max() < 0.01


def test_a_table_of_fractions(photos):
    rows = [
        f"{person}/{number}.png: {BEYOND[:, 1].tolist()}: {BEYOND[:, 0].tolist()}"
        for person in "abc"
        for number in range(4)
    ]
    (photos / "poses.csv").write_text("\n".join([CSV_HEADER, *rows]))
    for name, pose in poses_of(list_source(photos)).items():
        assert np.abs(pose[:, :2] - BEYOND * Image.open(photos / name).size).max() < 0.01


# (0, 0) for missing


def zeros(points, *missing):
    points = points.copy()
    points[list(missing)] = 0
    return points


@pytest.mark.parametrize("kind", ["table", "json", "fractions", "results"])
def test_zeros_that_recur_are_missing(photos, kind):
    "In a third of the images an ear is missing, in another a wrist and an ankle; written as 0, as pandas writes them."
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    gone = {name: ((), (17,), (4, 10))[number % 3] for number, name in enumerate(names)}
    points = {name: zeros(STANDING * Image.open(photos / name).size, *gone[name]) for name in names}
    keys = photos.parent / "keys"
    if kind == "table":
        keys = keys.with_suffix(".csv")
        rows = [f"{name}: {points[name][:, 1].tolist()}: {points[name][:, 0].tolist()}" for name in names]
        keys.write_text("\n".join([CSV_HEADER, *rows]))
    elif kind == "results":
        keys = keys.with_suffix(".json")
        keys.write_text(json.dumps([{"image_id": name, "keypoints": coco(points[name])} for name in names]))
    else:
        for name in names:
            size = Image.open(photos / name).size if kind == "fractions" else (1, 1)
            target = keys / name.replace(".png", "_keypoints.json")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(openpose(points[name] / size)))
    listing = list_source(photos, keypoints=keys)
    for name, pose in poses_of(listing).items():
        assert np.flatnonzero(pose[:, 2] == 0).tolist() == list(gone[name]), (kind, name)
        assert (pose[pose[:, 2] == 0] == 0).all()
    said = "keypoints at (0, 0), away from their bodies: they are taken for missing."
    if kind != "results":  # where (0, 0) means missing by definition
        assert listing.warnings == [f"{keys} has 12 {said}"]
        present = poses_of(list_source(photos, keypoints=keys, rules=Rules(zero="present")))
        assert all((pose[:, 2] == 1).all() for pose in present.values())


def test_keypoints_in_the_corner_stay(photos):
    "A person cut off by the corner, whose hand and elbow lie in its pixel, as clipping puts them there."
    corner = np.maximum(STANDING - STANDING[4] - (0.02, 0.04), 0)
    turns = iter([corner * 1.4, STANDING] * 6)
    keys = write_each(photos, lambda width, height: openpose(next(turns) * (width, height)))
    listing = list_source(photos, keypoints=keys, rules=Rules(require="any"))
    assert not any("(0, 0)" in warning for warning in listing.warnings)
    assert all((pose[:, 2] == 1).all() for pose in poses_of(listing).values())
    missing = poses_of(list_source(photos, keypoints=keys, rules=Rules(require="any", zero="missing")))
    assert sum((pose[:, 2] == 0).any() for pose in missing.values()) == 6


def test_one_zero_among_many_people_stays(photos):
    keys = write_each(photos, WRITERS["pixels"])
    (keys / "b" / "1_keypoints.json").write_text(json.dumps(openpose(zeros(STANDING * (300, 420), 4))))
    listing = list_source(photos, keypoints=keys)
    assert poses_of(listing)["b/1.png"][4].tolist() == [0, 0, 1] and not listing.warnings


def test_zeros_in_a_transfer(tmp_path):
    (tmp_path / "pose.json").write_text(json.dumps(openpose(zeros(STANDING * 256, 4, 17))))
    found = read_given(tmp_path / "pose.json")
    assert np.flatnonzero(found.pose[:, 2] == 0).tolist() == [4, 17]
    assert found.remarks == [
        f"{tmp_path / 'pose.json'} has 2 keypoints at (0, 0), away from their bodies: they are taken for missing."
    ]


def test_the_rules_are_checked():
    for rules, told in (
        (["zero=never"], 'The rule zero is "never"; use one of: auto, missing, present'),
        (["frame=big"], 'The rule frame is "big"; use one of: auto, own, 256, patn, or a width and height'),
        (["frame=0x9"], "or a width and height in pixels such as 512x768"),
    ):
        with pytest.raises(UserError, match=told):
            Rules.from_words(rules)
    assert Rules.from_words(["frame=512x768", "zero=missing"]).zero == "missing"


# Far away


@pytest.mark.parametrize(
    "value", [60_000, 1e39, -25_000.5, 10**400, float("nan"), float("inf"), "nan", None, True, [[1]]]
)
@pytest.mark.parametrize("kind", ["openpose", "results", "table", "mmpose"])
def test_a_joint_that_cannot_be(tmp_path, kind, value):
    points = (STANDING * 256).tolist()
    points[4][0] = value
    numbers = [number for x, y in points for number in (x, y, 1.0)]
    if kind == "table":
        path = tmp_path / "me.csv"
        x, y = ([point[axis] for point in points] for axis in (0, 1))
        path.write_text(f"{CSV_HEADER}\nme.png: {json.dumps(y)}: {json.dumps(x)}\n")
    else:
        path = tmp_path / "me.json"
        content = {
            "openpose": {"people": [{"pose_keypoints_2d": numbers}]},
            "results": [{"image_id": "me.png", "keypoints": numbers[:51]}],
            "mmpose": [{"keypoints": points[:17], "keypoint_scores": [1.0] * 17}],
        }[kind]
        path.write_text(json.dumps(content))
    with pytest.raises(UserError) as told:
        read_given(path, size=(256, 256))
    assert str(path) in str(told.value) and len(str(told.value)) < 400 and "\n" not in str(told.value)


@pytest.mark.parametrize("far", [5_000, 15_000])
def test_a_joint_far_from_the_others(tmp_path, far):
    "Near enough to be a number of pixels, and too far for any body: the picture would have to be as large."
    points = STANDING * 256
    points[4] = far, 100
    (tmp_path / "me.json").write_text(json.dumps(openpose(points)))
    with pytest.raises(
        UserError, match=f"me.json has a keypoint at x {far}, y 100, far away from all the others"
    ):
        read_given(tmp_path / "me.json")
    photo = read_photo(np.zeros((256, 256, 3), np.uint8))
    pose = np.column_stack([points, np.ones(18)]).astype(np.float32)
    with pytest.raises(UserError, match=f"the photo's pose has a keypoint at x {far}, y 100"):
        own_pose(photo, pose, "only", None)
    with pytest.raises(UserError, match=f"the pose has a keypoint at x {far}, y 100"):
        wanted_pose(pose, "only", None)


def test_a_limb_that_lies_far_outside_the_photo():
    photo = read_photo(np.zeros((256, 256, 3), np.uint8))
    pose = np.column_stack([STANDING * 256, np.ones(18)]).astype(np.float32)
    pose[10, 1] = 256 + 250  # a guess at what the photo cuts off
    assert own_pose(photo, pose, "only", None)[0][10, 1] == 506
    pose[10, 1] = 256 + 260
    with pytest.raises(
        UserError, match="put the right ankle at x 110, y 516; give them in pixels of the upright photo"
    ):
        own_pose(photo, pose, "only", None)
    whole = np.full((18, 3), np.iinfo(np.int64).min)
    with pytest.raises(UserError, match="farther than any image reaches"):
        own_pose(photo, whole, "only", None)


@pytest.mark.parametrize("name", ["me.json", "me.csv"])
def test_lists_nested_without_end(tmp_path, name):
    text = "[" * 100_000
    path = tmp_path / name
    path.write_text(text if name == "me.json" else f"{CSV_HEADER}\nme.png: {text}: {text}\n")
    with pytest.raises(UserError):
        read_given(path)
    path.write_text('{"people": [{"pose_keypoints_2d": ' + text)
    with pytest.raises(UserError):
        read_given(path)


def test_far_joints_in_a_folder_cost_an_image_or_name_a_line(photos):
    keys = write_each(photos, WRITERS["pixels"])
    (keys / "b" / "1_keypoints.json").write_text(json.dumps(openpose(zeros(STANDING * 256) + [60_000, 0])))
    listing = list_source(photos, keypoints=keys)
    assert len(listing.entries) == 11 and "puts a keypoint at 60128" in listing.rejected[0][1]
    row = f"a/0.png: {[5] * 18}: {[60_000] * 18}"
    (photos / "poses.csv").write_text(f"{CSV_HEADER}\n{row}\n")
    with pytest.raises(UserError, match="poses.csv, line 2 puts a keypoint at 60000"):
        list_source(photos)


def test_transfer_says_it_in_a_sentence(tmp_path, posegen):
    Image.new("RGB", (256, 256)).save(tmp_path / "me.png")
    for points in (
        STANDING * 256 + [60_000, 0],
        STANDING * 256 * np.where(np.arange(18) == 4, 70, 1)[:, None],
    ):
        (tmp_path / "me.json").write_text(json.dumps(openpose(points)))
        (tmp_path / "pose.json").write_text(json.dumps(openpose(STANDING * 256)))
        for own, pose in (("me.json", "pose.json"), ("pose.json", "me.json")):
            words = [tmp_path / "me.png", "--pose", tmp_path / pose, "--keypoints", tmp_path / own]
            outcome = posegen("transfer", *words, "--out", tmp_path / "result.png")
            assert outcome.status == 2 and "Traceback" not in outcome.error and "me.json" in outcome.error, (
                outcome.error
            )
    assert not (tmp_path / "result.png").exists()


def test_transfer_uses_the_canvas(tmp_path, posegen):
    "A photo of 1024 pixels with keypoints found on 256: the same picture as with keypoints in its own pixels."
    gradient = np.add.outer(np.arange(1024), np.arange(1024))[..., None] // [9, 11, 13] % 256
    Image.fromarray(gradient.astype(np.uint8)).save(tmp_path / "me.png")
    (tmp_path / "small.json").write_text(
        json.dumps(openpose(STANDING * 256, canvas_width=256, canvas_height=256))
    )
    (tmp_path / "own.json").write_text(json.dumps(openpose(STANDING * 1024)))
    for name in ("small", "own"):
        words = [
            tmp_path / "me.png",
            "--pose",
            tmp_path / "own.json",
            "--keypoints",
            tmp_path / f"{name}.json",
        ]
        outcome = posegen("transfer", *words, "--out", tmp_path / f"{name}.png")
        assert outcome.status == 0, outcome.error
    assert (tmp_path / "small.png").read_bytes() == (tmp_path / "own.png").read_bytes()


# The editor


def test_the_editor_frames_what_counts_in_another_canvas(tmp_path):
    pytest.importorskip("anywidget")
    from posegen.explore.editor import framed_pose
    from posegen.photos.framing import Framing
    from posegen.transfer import PoseTransfer

    transfer = PoseTransfer(None, None, 64, Framing())
    paths = {}
    for name, content in {
        "own": openpose(np.floor(STANDING * 64), canvas_width=64, canvas_height=64),
        "larger": openpose(STANDING * 256, canvas_width=256, canvas_height=256),
        "corner": openpose(STANDING * 60, canvas_width=256, canvas_height=256),
        "fractions": openpose(STANDING, canvas_width=64, canvas_height=64),
        "unknown": openpose(STANDING),
    }.items():
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(content))
    assert (framed_pose(transfer, paths["own"])[0][:, :2] == np.floor(STANDING * 64)).all()
    assert np.abs(framed_pose(transfer, paths["fractions"])[0][:, :2] - STANDING * 64).max() < 0.01
    larger, corner = (framed_pose(transfer, paths[name])[0] for name in ("larger", "corner"))
    assert np.abs(larger[:, :2] - corner[:, :2]).max() <= 2  # the same person, framed
    with pytest.raises(UserError, match="whose shape it does not tell"):
        framed_pose(transfer, paths["unknown"])


@pytest.mark.parametrize(
    "scale, told", [(0.45, "upper left quarter"), (1.6, "outside of the photo"), (1.0, None)]
)
def test_a_transfer_says_what_looks_strange(tmp_path, scale, told):
    "Keypoints found on a smaller or larger picture, without a canvas that names it."
    (tmp_path / "me.json").write_text(json.dumps(openpose(STANDING * 512 * scale)))
    remarks = read_given(tmp_path / "me.json", size=(512, 512)).remarks
    assert (told in remarks[0] and '"canvas_width"' in remarks[0]) if told else not remarks


def test_pickles_of_thumbnails_are_refused(tmp_path):
    those = trees.build_tree("pg2", tmp_path, 12)
    for path in tmp_path.rglob("*.jpg"):
        Image.open(path).resize((1024, 1024)).save(path)
    with pytest.raises(UserError, match="all_peaks_dic_.* lie within .* measure 1024"):
        list_source(tmp_path)
    entries = list_source(tmp_path, rules=Rules(frame="256")).entries
    assert entries and {entry.frame for entry in entries} == {256}
    assert len(those) == 12


def test_any_frame_of_any_size_by_chance(tmp_path):
    "Photos of any shape, canvases of any size, fractions of both: always the pixels of the photo."
    rng = np.random.default_rng(0)
    path = tmp_path / "me.json"
    for trial in range(300):
        size = rng.integers(80, 4000, 2)
        points = STANDING * rng.uniform(0.55, 1) + rng.uniform(0, 0.05, 2) + rng.normal(0, 0.01, (18, 2))
        points[rng.integers(18)] += rng.uniform(-0.05, 0.1, 2)
        confidence = np.where(rng.random(18) < 0.1, 0, rng.uniform(0.1, 1, 18))
        canvas = (size * rng.uniform(0.1, 4) * rng.uniform(0.95, 1.05, 2)).round()
        kind = trial % 4
        scale = (size, (1, 1), canvas, (1, 1))[kind]
        content = {
            "people": [{"pose_keypoints_2d": flat(points * scale, confidence)}, {"pose_keypoints_2d": []}]
        }
        if kind > 1:
            content |= {"canvas_width": canvas[0], "canvas_height": canvas[1]}
        path.write_text(json.dumps([content] if rng.random() < 0.5 else content))
        pose = read_given(path, size=tuple(size.tolist())).pose
        present = confidence > 0
        assert ((pose[:, 2] > 0) == present).all()
        assert np.abs(pose[present, :2] - (points * size)[present]).max() < 0.01, (trial, kind, size)


def write_as(kind, keys, poses, canvases):
    "Poses by image as one of our writers writes them; the place to read them from."
    if kind == "table":
        write_keypoint_csv(keys / "keys.csv", poses)
        return keys / "keys.csv"
    if kind == "results":
        write_coco_results(keys / "keys.json", poses)
        return keys / "keys.json"
    for name, pose in poses.items():
        (keys / name).parent.mkdir(parents=True, exist_ok=True)
        write_openpose_json((keys / name).with_suffix(".json"), pose, canvases.get(name))
    return keys


def random_photos(root, rng):
    "Photos of a few shapes and sizes of two people, with the pose in each, which fills most of it."
    poses = {}
    for number in range(6):
        size, name = rng.integers(60, 700, 2), f"{'ab'[number % 2]}/{number}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", tuple(size.tolist())).save(root / name)
        points = (STANDING * rng.uniform(0.8, 1) + rng.normal(0, 0.005, (18, 2))).clip(0.01, 0.99) * size
        poses[name] = np.column_stack([points, rng.random(18) > 0.1]).astype(np.float32)
        poses[name][[2, 5, 8, 11], 2] = 1
        poses[name] *= poses[name][:, 2:] > 0
    return poses


@pytest.mark.parametrize("seed", range(12))
def test_what_a_writer_wrote_in_any_frame_is_right_or_told(tmp_path, seed):
    "Every writer, own pixels, fractions, canvases, thumbnails and enlargements: the photo's pixels or a sentence."
    rng = np.random.default_rng(seed)
    poses = random_photos(tmp_path / "photos", rng)
    sizes = {name: np.array(Image.open(tmp_path / "photos" / name).size) for name in poses}
    kinds = ("table", "results", "files", "files with canvas")
    frames = ("own", "fractions", "canvas", "small", "large")
    for kind, frame in ((kind, frame) for kind in kinds for frame in frames):
        if (frame == "canvas") != (kind == "files with canvas"):
            continue
        share = dict(
            own=1, canvas=rng.uniform(0.2, 4), small=rng.uniform(0.05, 0.4), large=rng.uniform(2.5, 8)
        )
        canvases = {
            name: tuple((size * share["canvas"]).astype(int).tolist()) for name, size in sizes.items()
        }
        written = {}
        for name, pose in poses.items():
            fractions, canvas = 1 / sizes[name], np.array(canvases[name]) / sizes[name]
            scale = dict(fractions=fractions, canvas=canvas).get(frame, share.get(frame, 1) * np.ones(2))
            written[name] = (pose * [*scale, 1]).astype(np.float32)
        keys = tmp_path / f"{kind} {frame}"
        keys.mkdir()
        keys = write_as(kind, keys, written, canvases if frame == "canvas" else {})
        try:
            listing = list_source(tmp_path / "photos", keypoints=keys, rules=Rules(require="any"))
        except UserError as error:
            assert frame in ("small", "large"), (kind, frame, error)
            assert "--rule frame=" in str(error) and "\n" not in str(error)
            continue
        assert frame not in ("small", "large"), (kind, frame)
        assert len(listing.entries) == len(poses), (kind, frame, listing.rejected)
        for entry in listing.entries:
            pose = poses[entry.name]
            assert entry.frame is None and ((entry.keypoints[:, 2] > 0) == (pose[:, 2] > 0)).all()
            assert np.abs(entry.keypoints - pose)[:, :2].max() < 0.01, (kind, frame, entry.name)
