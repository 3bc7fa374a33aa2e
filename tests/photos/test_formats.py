"Keypoints in the files of other programs: read rightly, written and read again, and broken as chance has it."

import copy
import json
import pickle
import random

import numpy as np
import pytest
import trees
from PIL import Image

from posegen.core import UserError
from posegen.photos.candidates import read_openpose_candidates, read_pg2_pickles
from posegen.photos.formats import COCO_17, FARTHEST, read_json_people
from posegen.photos.inputs import read_given
from posegen.photos.keypoints import (
    CSV_HEADER,
    read_keypoint_csv,
    read_openpose_json,
    read_table,
    write_coco_results,
    write_keypoint_csv,
    write_keypoints,
    write_openpose_json,
)
from posegen.photos.layouts import Rules, list_source
from posegen.pose import KEYPOINTS

NECK = KEYPOINTS.index("neck")
NAMES = [f"{person}/{number:06}.png" for person in "abc" for number in range(3)]
IMAGES = {name: 10 * place + int(name[2:8]) for place, name in enumerate(NAMES)}  # numbers of COCO's images


def random_poses(seed=0, scale=256.0):
    "A pose for each of `NAMES`: standing somewhere, some keypoints missing, with confidences, the neck in the middle."
    rng = np.random.default_rng(seed)
    poses = {}
    for name in NAMES:
        points = (trees.STANDING / 256 + rng.normal(0, 0.01, (18, 2))) * scale
        confidence = rng.uniform(0.35, 1, 18)
        confidence[rng.choice([3, 4, 6, 7, 9, 10, 12, 13, 16, 17], rng.integers(0, 4), replace=False)] = 0
        points[NECK], confidence[NECK] = points[[2, 5]].mean(0), confidence[[2, 5]].min()
        poses[name] = np.column_stack([points, confidence]).astype(np.float32)
        poses[name][confidence == 0] = 0
    return poses


def coco(pose):
    return np.array([pose[KEYPOINTS.index(name)] for name in COCO_17], float)


def whole_body(pose, points=133):
    return np.vstack([coco(pose), np.full((points - 17, 3), 7.0)])


def halpe(pose):
    rows = whole_body(pose, 26)
    rows[18] = pose[NECK]
    return rows


def body_25(pose):
    return np.vstack([np.insert(pose, 8, [100, 100, 0.5], axis=0), np.full((6, 3), 9.0)])


def numbers(points):
    return np.asarray(points, float).ravel().tolist()


def openpose(points, key="pose_keypoints_2d"):
    return {"version": 1.3, "people": [{"person_id": [-1], key: numbers(points), "face_keypoints_2d": []}]}


def visible(pose, points=None):
    "COCO's visibilities for confidences: 1 where it is below one half, else 2."
    rows = coco(pose) if points is None else points
    rows[:, 2] = np.select([rows[:, 2] == 0, rows[:, 2] < 0.5], [0, 1], 2)
    return numbers(rows)


def annotations(poses, order=COCO_17, categories=True):
    content = {
        "info": {},
        "images": [{"id": IMAGES[name], "file_name": name, "width": 256, "height": 256} for name in poses],
        "annotations": [
            {"id": place, "image_id": IMAGES[name], "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 3, 4]}
            | {"keypoints": visible(pose, np.array([pose[KEYPOINTS.index(one)] for one in order], float))}
            for place, (name, pose) in enumerate(poses.items())
        ],
    }
    if categories:
        content["categories"] = [
            {"id": 1, "name": "person", "keypoints": list(order), "skeleton": [[16, 14]]}
        ]
    return content


def mmpose(pose, points=coco):
    rows = points(pose)
    return {"keypoints": rows[:, :2].tolist(), "keypoint_scores": rows[:, 2].tolist(), "bbox": [[0, 0, 9, 9]]}


def ultralytics(pose):
    x, y, sure = coco(pose).T.tolist()
    return {"name": "person", "class": 0, "confidence": 0.9, "keypoints": {"x": x, "y": y, "visible": sure}}


def results(poses, points=coco, name_of=str):
    return [
        {"image_id": name_of(name), "category_id": 1, "keypoints": numbers(points(pose)), "score": 0.8}
        for name, pose in poses.items()
    ]


EACH = {  # what a program writes for one image
    "OpenPose, COCO": openpose,
    "OpenPose, BODY_25": lambda pose: openpose(body_25(pose)),
    "OpenPose, 17": lambda pose: openpose(coco(pose)),
    "OpenPose 1.0": lambda pose: openpose(pose, "pose_keypoints"),
    "ControlNet": lambda pose: openpose(pose) | {"canvas_width": 256, "canvas_height": 256, "animals": []},
    "ControlNet, fractions": lambda pose: (
        openpose(pose / [256, 256, 1]) | {"canvas_width": 256, "canvas_height": 256}
    ),
    "ComfyUI": lambda pose: [openpose(pose) | {"canvas_width": 256, "canvas_height": 256}],
    "AlphaPose, open": lambda pose: {
        "version": "AlphaPose v0.3",
        "people": [{"pose_keypoints_2d": numbers(pose)}],
    },
    "AlphaPose, cmu": lambda pose: {"version": "AlphaPose v0.3", "bodies": [{"joints": numbers(pose)}]},
    "MMPose": lambda pose: [mmpose(pose)],
    "MMPose, whole body": lambda pose: [mmpose(pose, whole_body)],
    "MMPose, scripts": lambda pose: {"meta_info": {"dataset_name": "coco"}, "instance_info": [mmpose(pose)]},
    "MMPose, video": lambda pose: {"instance_info": [{"frame_id": 1, "instances": [mmpose(pose)]}]},
    "Ultralytics": lambda pose: [ultralytics(pose)],
    "results of one image": lambda pose: [{"keypoints": numbers(coco(pose)), "score": 1.0}],
}
ALL = {  # what a program writes for all images
    "COCO annotations": annotations,
    "COCO annotations without names": lambda poses: annotations(poses, categories=False),
    "COCO annotations in an order of their own": lambda poses: annotations(poses, sorted(COCO_17)),
    "COCO results by number": lambda poses: results(poses, name_of=IMAGES.get),
    "AlphaPose": results,
    "AlphaPose, Halpe": lambda poses: results(poses, halpe),
    "COCO-WholeBody results": lambda poses: results(poses, whole_body),
    "AlphaPose, cmu, all": lambda poses: {name: EACH["AlphaPose, cmu"](pose) for name, pose in poses.items()},
    "AlphaPose, open, all": lambda poses: {
        name: EACH["AlphaPose, open"](pose) for name, pose in poses.items()
    },
}


@pytest.fixture
def photos(tmp_path):
    for name in NAMES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (256, 256), (90, 120, 150)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def agree(found, wanted, confidence=True):
    assert ((found[:, 2] > 0) == (wanted[:, 2] > 0)).all()
    present = wanted[:, 2] > 0
    assert np.abs(found - wanted)[present, : 3 if confidence else 2].max(initial=0) < 0.01
    assert not found[~present].any()


@pytest.mark.parametrize("ending", ["_keypoints.json", ".json"])
@pytest.mark.parametrize("kind", EACH)
def test_a_file_for_each_image(photos, kind, ending):
    poses = random_poses()
    for name, pose in poses.items():
        target = photos.parent / "keys" / name.replace(".png", ending)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(EACH[kind](pose)))
        agree(read_given(target, size=(256, 256)).pose, pose)
        agree(read_openpose_json(target, "only", (256, 256)), pose)
    listing = list_source(photos, photos.parent / "keys", Rules(require="any"))
    assert [entry.name for entry in listing.entries] == NAMES and not listing.warnings
    for entry in listing.entries:
        agree(entry.keypoints, poses[entry.name])


@pytest.mark.parametrize("kind", ALL)
def test_a_file_for_all_images(photos, kind):
    for place, name in enumerate(NAMES):
        (photos / name).rename((photos / name).with_name(f"{IMAGES[name]:06}.png"))
    names = {name: f"{name[:2]}{IMAGES[name]:06}.png" for name in NAMES}
    poses = random_poses()
    content = json.dumps(ALL[kind](poses))
    for name, other in names.items():
        content = content.replace(name, other)
    path = photos.parent / "keys.json"
    path.write_text(content)
    listing = list_source(photos, path, Rules(require="any"))
    assert [entry.name for entry in listing.entries] == sorted(names.values()), kind
    wanted = {names[name]: pose for name, pose in poses.items()}
    for entry in listing.entries:
        agree(entry.keypoints, wanted[entry.name], confidence="annotations" not in kind)
    one = names["b/000001.png"] if "number" not in kind else IMAGES["b/000001.png"]
    agree(read_given(f"{path}#{one}").pose, poses["b/000001.png"], confidence="annotations" not in kind)
    if "number" not in kind:
        photo = read_given(path, photo=f"elsewhere/{names['b/000001.png']}")
        agree(photo.pose, poses["b/000001.png"], confidence="annotations" not in kind)
    with pytest.raises(UserError, match="holds 9 poses; name one of them, for example .*keys.json#"):
        read_given(path)
    with pytest.raises(UserError, match='has no row "nobody"'):
        read_given(f"{path}#nobody")


def test_hidden_keypoints_of_coco_are_half_sure(photos):
    poses = random_poses()
    (photos / "person_keypoints.json").write_text(json.dumps(annotations(poses)))
    for entry in list_source(photos, rules=Rules(require="any")).entries:
        wanted = poses[entry.name][:, 2]
        seen = [row for row in range(18) if row != NECK]
        assert (entry.keypoints[seen, 2] == np.select([wanted == 0, wanted < 0.5], [0, 0.5], 1)[seen]).all()


def test_the_table_of_pose_transfer(photos):
    "Commas, x before y, names without slashes and suffix, and the size of the image that was measured."
    header = ",".join(["file_id", "img_h", "img_w", *(f"p{n}_{axis}" for n in range(18) for axis in "xy")])
    poses, rows = random_poses(), []
    for name, pose in poses.items():
        places = np.where(pose[:, 2:] > 0, pose[:, :2] * [0.5, 2], -1)
        rows.append(",".join(map(str, [name[:-4].replace("/", ""), 512, 128, *places.ravel().tolist()])))
    (photos / "train_img_keypoints.csv").write_text("\n".join([header, *rows]))
    with pytest.raises(UserError, match="canvas of 128 x 512 pixels|No image of"):
        list_source(photos, rules=Rules(require="any"))
    square = [row.replace(",512,128,", ",512,512,", 1) for row in rows]
    (photos / "train_img_keypoints.csv").write_text("\n".join([header, *square]))
    for entry in list_source(photos, rules=Rules(require="any")).entries:
        wanted = poses[entry.name] * [0.25, 1, 1]
        agree(entry.keypoints, np.where(wanted[:, 2:] > 0, wanted, 0), confidence=False)
    for wrong, told in (
        (square[0].replace("512,512", "512,0", 1), "line 2 names a canvas side of 0"),
        (square[0].rsplit(",", 1)[0], "line 2: found 38 columns, but its first line has 39"),
        (square[0].rsplit(",", 1)[0] + ",x", "line 2: .* holds what is no number"),
        (square[0] + "\n" + square[0], "line 3: the image .* has a row already"),
    ):
        (photos / "train_img_keypoints.csv").write_text(f"{header}\n{wrong}\n")
        with pytest.raises(UserError, match=told):
            list_source(photos)


def label_lines(*poses, size=(256, 256), confidence=""):
    "Ultralytics' labels of these poses in pixels of an image of `size`."
    lines = []
    for pose in poses:
        points = coco(pose) / [*size, 1]
        lines.append(" ".join(map(str, [0, 0.5, 0.5, 0.9, 0.9, *numbers(points)])) + confidence)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("confidence", ["", " 0.87", " 0.87 3"])
def test_ultralytics_labels(photos, confidence):
    poses = random_poses()
    for name, pose in poses.items():
        target = photos.parent / "labels" / name.replace(".png", ".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        small = (pose * [0.3, 0.3, 1]).astype(np.float32)
        target.write_text(label_lines(small, pose, confidence=confidence))
        agree(read_given(target, size=(256, 256)).pose, pose)
    (photos.parent / "labels" / NAMES[2].replace(".png", ".txt")).write_text("")
    listing = list_source(photos, photos.parent / "labels", Rules(require="any", person="largest"))
    assert [entry.name for entry in listing.entries] == [name for name in NAMES if name != NAMES[2]]
    for entry in listing.entries:
        agree(entry.keypoints, poses[entry.name])
    with pytest.raises(UserError, match="2 people"):
        list_source(photos, photos.parent / "labels")
    with pytest.raises(UserError, match="positions as fractions of an image whose shape it does not tell"):
        read_given(photos.parent / "labels" / NAMES[0].replace(".png", ".txt"))


def test_one_person_without_a_body(photos):
    "A face alone is nobody; the others of its file stay, and a file of such people holds no person."
    poses = random_poses()
    faces = [{"pose_keypoints_2d": None}, {"pose_keypoints_2d": []}, {"face_keypoints_2d": [1.0, 2.0, 0.5]}]
    for place, (name, pose) in enumerate(poses.items()):
        content = openpose(pose)
        content["people"].insert(place % 2, faces[place % 3])
        if place == 4:
            content["people"] = faces
        (photos / name).with_name((photos / name).stem + "_keypoints.json").write_text(json.dumps(content))
    listing = list_source(photos, rules=Rules(require="any"))
    assert listing.rejected == [(NAMES[4], "keypoint file holds no person")]
    for entry in listing.entries:
        agree(entry.keypoints, poses[entry.name])


def test_several_people_in_every_format(tmp_path):
    pose = random_poses()[NAMES[0]]
    small = (pose * [0.5, 0.5, 1]).astype(np.float32)
    for kind, content_of in EACH.items():
        content, other = content_of(pose), content_of(small)
        if isinstance(content, list) and "people" not in content[0]:
            content = other + content
        elif "instance_info" in (content if isinstance(content, dict) else {}):
            instances = content["instance_info"][0]
            people = instances.get("instances", content["instance_info"])
            people.append(mmpose(small))
        else:
            frame, second = (one[0] if isinstance(one, list) else one for one in (content, other))
            key = "people" if "people" in frame else "bodies"
            frame[key] = second[key] + frame[key]
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        agree(read_given(path, size=(256, 256)).pose, pose)
        with pytest.raises(UserError, match="holds 2 people, but one was expected"):
            read_given(path, "only", (256, 256))


# Written and read again


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read_again(tmp_path, seed):
    "Every writer, every reader: keypoints at the border, in the corner, beyond it, and none at all."
    rng = np.random.default_rng(seed)
    poses = random_poses(seed, scale=rng.choice([64.0, 256.0, 3000.0]))
    first, second, third, *_ = poses
    poses[first][[3, 10]] = [0, 0, 0.5], [0.25, -3.5, 1]
    poses[second][:] = 0
    poses[third][NECK] = 0
    write_keypoint_csv(tmp_path / "a.csv", poses)
    write_coco_results(tmp_path / "a.json", poses)
    write_keypoints(tmp_path / "folder", poses)
    write_keypoints(tmp_path / "again.json", poses)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    table = {row.name: row.poses[0] for row in read_table(tmp_path / "a.csv")}
    found = {people.name: people.poses[0] for people in read_json_people(tmp_path / "a.json")}
    assert found.keys() == poses.keys() - {second} and table.keys() == poses.keys()
    for name, pose in poses.items():
        agree(table[name], pose, confidence=False)
        agree(read_keypoint_csv(tmp_path / "a.csv")[name], pose, confidence=False)
        if name == second:
            with pytest.raises(UserError, match="no person"):
                read_openpose_json(tmp_path / "folder" / name.replace(".png", "_keypoints.json"))
            continue
        agree(found[name], pose)
        agree(read_openpose_json(tmp_path / "folder" / name.replace(".png", "_keypoints.json")), pose)
        write_openpose_json(tmp_path / "canvas.json", pose, canvas=(3000, 3000))
        agree(read_openpose_json(tmp_path / "canvas.json", size=(3000, 3000)), pose)


# Broken by chance

JUNK = [
    None,
    True,
    "",
    "7",
    "nan",
    [],
    {},
    -1,
    0,
    0.5,
    3,
    1e39,
    -60_000,
    10**400,
    float("nan"),
    float("inf"),
    [[[1]]],
]


def places(content, above=()):
    "The path of everything in a JSON content."
    yield above
    members = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in members:
        yield from places(value, (*above, key))


def broken(content, chance):
    "A copy with one to three things in it replaced, taken away, or doubled."
    content = copy.deepcopy(content)
    for _ in range(chance.choice([1, 1, 2, 3])):
        paths = [path for path in places(content) if path]
        if not paths:
            return chance.choice(JUNK)
        *above, key = chance.choice(
            paths if chance.random() < 0.5 else [one for one in paths if len(one) < 4]
        )
        owner = content
        for step in above:
            owner = owner[step]
        what = chance.randrange(4)
        if what == 0 and isinstance(owner, list):
            owner.insert(key, chance.choice(JUNK))
        elif what == 1:
            del owner[key]
        else:
            owner[key] = copy.deepcopy(chance.choice(JUNK))
    return content


def spoiled(data, chance):
    "Bytes cut off, or with some of them replaced."
    if chance.random() < 0.3:
        return data[: chance.randrange(len(data))]
    data = bytearray(data)
    for _ in range(chance.choice([1, 2, 5])):
        place = chance.randrange(len(data))
        data[place : place + chance.choice([0, 1, 1, 3])] = bytes([chance.randrange(256)])
    return bytes(data)


def sound(pose):
    assert pose.shape == (18, 3) and pose.dtype == np.float32 and np.isfinite(pose).all()
    assert np.abs(pose).max() <= FARTHEST and not pose[pose[:, 2] <= 0].any()
    return True


def told_or_sound(read):
    "Whether reading gave poses that can be; an error must be a sentence."
    try:
        return all(map(sound, read()))
    except UserError as error:
        assert 20 < len(str(error)) < 700 and "\n" not in str(error), str(error)
        return False


@pytest.mark.parametrize("kind", [*EACH, *ALL])
def test_broken_json_is_told_or_read(tmp_path, kind):
    chance = random.Random(kind)
    poses = dict(list(random_poses().items())[:3])
    content = EACH[kind](poses[NAMES[0]]) if kind in EACH else ALL[kind](poses)
    path, read = tmp_path / "a.json", 0
    for round_ in range(150):
        if round_ % 3:
            path.write_text(json.dumps(broken(content, chance)))
        else:
            path.write_bytes(spoiled(json.dumps(content).encode(), chance))
        size = chance.choice([None, (256, 256), (10_000, 3)])
        read += told_or_sound(lambda: [pose for people in read_json_people(path) for pose in people.poses])
        told_or_sound(lambda: [read_given(path, chance.choice(["largest", "only"]), size, NAMES[0]).pose])
    assert 0 < read < 150, "some are read, some refused"


def test_broken_folders_are_told_or_read(photos):
    chance = random.Random(1)
    poses = random_poses()
    for round_ in range(60):
        kind = chance.choice(list(EACH))
        for name, pose in poses.items():
            content = EACH[kind](pose)
            text = json.dumps(broken(content, chance) if chance.random() < 0.4 else content)
            (photos / name).with_suffix(".json").write_text(text)
        told_or_sound(
            lambda: [entry.keypoints for entry in list_source(photos, rules=Rules(require="any")).entries]
        )


def test_broken_tables_are_told_or_read(tmp_path):
    chance = random.Random(2)
    poses = random_poses()
    write_keypoint_csv(tmp_path / "a.csv", poses)
    header = ",".join(["file_id", "img_h", "img_w", *(f"p{n}_{axis}" for n in range(18) for axis in "xy")])
    flat = [header] + [
        ",".join(map(str, [name[2:8] + name[0], 256, 256, *pose[:, :2].ravel()]))
        for name, pose in poses.items()
    ]
    words = [
        "1e39",
        "9" * 400,
        "NaN",
        "-Infinity",
        "[",
        "]",
        ":",
        '"',
        ",",
        "x",
        "-1",
        "[" * 5000,
        "\x00",
        "é",
        "",
    ]
    read = 0
    for round_ in range(400):
        text = (tmp_path / "a.csv").read_text() if round_ % 2 else "\n".join(flat)
        for _ in range(chance.choice([1, 1, 3])):
            place = chance.randrange(len(CSV_HEADER if round_ % 20 == 0 else text))
            text = text[:place] + chance.choice(words) + text[place + chance.choice([0, 1, 4]) :]
        (tmp_path / "b.csv").write_text(text)
        read += told_or_sound(lambda: read_keypoint_csv(tmp_path / "b.csv").values())
        told_or_sound(lambda: [read_given(tmp_path / "b.csv", size=(256, 256), photo=NAMES[3]).pose])
    assert 0 < read < 400


def test_broken_text_of_openpose_is_told_or_read(tmp_path):
    chance = random.Random(3)
    trees.write_openpose_text(tmp_path, "a", random_poses()[NAMES[0]])
    candidate, subset = tmp_path / "a_candidate.txt", tmp_path / "a_subset.txt"
    labels = label_lines(*list(random_poses().values())[:2])
    texts = candidate.read_text(), subset.read_text()
    words = ["nan", "inf", "1e39", "1e400", "-1", "99", "x", "\n", " ", "9" * 400, "60000"]
    read = 0
    for _ in range(300):
        for path, text in zip((candidate, subset), texts):
            pieces = text.split(" ")
            pieces[chance.randrange(len(pieces))] = chance.choice(words)
            path.write_text(" ".join(pieces) if chance.random() < 0.5 else text)
        read += told_or_sound(lambda: [read_openpose_candidates(candidate, subset)])
        place = chance.randrange(len(labels))
        (tmp_path / "b.txt").write_text(
            labels[:place] + chance.choice(words) + labels[place + chance.choice([0, 2]) :]
        )
        told_or_sound(lambda: [read_given(tmp_path / "b.txt", size=(256, 256)).pose])
        told_or_sound(lambda: [read_given(candidate).pose])
    assert 0 < read < 300


def test_broken_pickles_are_told_or_read(tmp_path):
    "Also numbers without end and lists that hold one another so often that numpy would unfold gigabytes."
    chance = random.Random(4)
    pose = random_poses()[NAMES[0]]
    peaks = [
        [(float(x), float(y), float(sure), place)] if sure else [] for place, (x, y, sure) in enumerate(pose)
    ]
    subset = [float(place) if sure else -1.0 for place, (_, _, sure) in enumerate(pose)] + [20.0, 18.0]
    whole = {"a.jpg": peaks}, {"a.jpg": [subset]}
    doubled = [1.0]
    for _ in range(60):
        doubled = [doubled, doubled]
    paths = tmp_path / "all_peaks_dic_a.p", tmp_path / "subsets_dic_a.p"
    read = 0
    for round_ in range(300):
        contents = [broken(one, chance) if chance.random() < 0.6 else one for one in whole]
        if round_ % 50 == 0:
            contents[round_ % 100 // 50] = {"a.jpg": doubled}
        if round_ % 50 == 1:
            contents[0] = {"a.jpg": [[(10**5000, 1.0, 1.0, 0)]] * 18}
        for path, content in zip(paths, contents):
            data = pickle.dumps(content, protocol=2)
            path.write_bytes(spoiled(data, chance) if chance.random() < 0.2 else data)
        read += told_or_sound(lambda: read_pg2_pickles(*paths).values())
    assert 0 < read < 300
