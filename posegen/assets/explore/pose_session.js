// The pose that is edited, and its history. Everything that changes the pose happens here, at once; Python paints the
// newest pose.

const HIDDEN = 0.5; // confidence of a joint that is there but not seen
const copy = (pose) => pose.map((row) => [...row]);
const same = (a, b) => a.every((row, joint) => row.every((value, k) => value === b[joint][k]));

/** The pose and its history: one for all views of a widget. */
class Session {
  constructor(model) {
    const { names, limbs, mirrored } = model.get("skeleton");
    Object.assign(this, { model, names, limbs, mirrored, size: model.get("size") });
    this.parent = Object.fromEntries(limbs.map(([from, to]) => [to, from])); // the limbs are a tree from the neck
    this.neck = names.indexOf("neck");
    this.hips = ["right_hip", "left_hip"].map((name) => names.indexOf(name));
    this.pose = copy(model.get("keypoints"));
    this.before = null; // the pose at the beginning of a gesture
    this.past = [];
    this.future = [];
    this.kind = null; // of the newest step, where the next one of the same kind shall join it
    this.remembered = {}; // where joints were that were taken out
    this.selected = names.indexOf("right_wrist");
    this.chosen = new Set(); // joints that move together
    this.rigid = true;
    this.views = new Set();
    model.on("change:keypoints", () => this.received());
  }

  /** A pose that Python has set can be undone, too. */
  received() {
    const pose = this.model.get("keypoints");
    if (this.sending || same(pose, this.pose)) return;
    this.past.push(this.pose);
    this.future = [];
    this.kind = null;
    this.remembered = {};
    this.pose = copy(pose);
    this.draw();
  }

  draw() {
    for (const view of this.views) view();
  }

  begin() {
    this.before ??= copy(this.pose);
  }

  show(pose) {
    this.pose = pose.map((row) => row.map((value) => Math.round(value * 100) / 100));
    this.sending = true;
    this.model.set("keypoints", copy(this.pose));
    this.sending = false;
    this.scheduled ??= requestAnimationFrame(() => {
      this.scheduled = null;
      this.model.save_changes();
    });
    this.draw();
  }

  /** End a gesture: one step to undo. Steps of the same `kind` in a row, such as arrow keys on a joint, are one. */
  finish(kind = null) {
    if (this.before && !same(this.before, this.pose)) {
      if (!kind || kind !== this.kind) this.past.push(this.before);
      this.future = [];
      this.kind = kind;
    }
    this.before = null;
    this.draw();
  }

  replace(pose) {
    this.begin();
    this.remembered = {};
    this.show(pose);
    this.finish();
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.pose);
    this.kind = null;
    this.remembered = {};
    this.show(from.pop());
  }
  undo() {
    this.travel(this.past, this.future);
  }
  redo() {
    this.travel(this.future, this.past);
  }

  mirror() {
    this.replace(
      this.mirrored.map((other) => {
        const [x, y, confidence] = this.pose[other];
        return confidence > 0 ? [this.size - 1 - x, y, confidence] : [0, 0, 0];
      }),
    );
  }

  select(joint) {
    if (joint !== this.selected) this.kind = null;
    this.selected = joint;
    this.draw();
  }

  /** Have exactly these joints move together. */
  choose(joints) {
    this.kind = null;
    this.chosen = new Set(joints);
    this.draw();
  }
  toggle(joint) {
    const others = [...this.chosen].filter((other) => other !== joint);
    this.choose(others.length < this.chosen.size ? others : [...others, joint]);
  }

  /** The joints that a transformation is for: those chosen, or without a choice all. */
  group() {
    const all = this.names.map((_, joint) => joint);
    return this.present(this.chosen.size > 1 ? [...this.chosen] : all);
  }
  present(joints) {
    return joints.filter((joint) => this.pose[joint][2] > 0);
  }

  state(joint) {
    const confidence = this.pose[joint][2];
    return confidence <= 0 ? "missing" : confidence <= HIDDEN ? "hidden" : "seen";
  }

  setState(joint, state) {
    if (state === this.state(joint)) return;
    const [x, y] = this.place(joint);
    if (state === "missing") this.remembered[joint] = [x, y];
    const pose = copy(this.pose);
    pose[joint] = state === "missing" ? [0, 0, 0] : [x, y, state === "hidden" ? HIDDEN : 1];
    this.begin();
    this.show(pose);
    this.finish();
  }

  inside([x, y]) {
    const last = this.size - 1;
    return [Math.min(Math.max(x, 0), last), Math.min(Math.max(y, 0), last)];
  }

  /** Where a joint is; one that is missing lies where it was, or where a standing person has it. */
  place(joint) {
    if (this.pose[joint][2] > 0) return this.pose[joint].slice(0, 2);
    if (this.remembered[joint]) return this.remembered[joint];
    const standing = this.model.get("presets")[0].keypoints;
    const parent = this.parent[joint];
    if (parent === undefined) return standing[joint].slice(0, 2);
    const from = this.place(parent);
    return this.inside([0, 1].map((k) => from[k] + standing[joint][k] - standing[parent][k]));
  }

  /** The middle between the hips. */
  centre() {
    const [right, left] = this.hips.map((hip) => this.place(hip));
    return [0, 1].map((k) => (right[k] + left[k]) / 2);
  }

  below(joint) {
    const children = this.limbs.filter(([from]) => from === joint).map(([, to]) => to);
    return [joint, ...children.flatMap((child) => this.below(child))];
  }

  /**
   * Move a joint to (x, y), within a gesture. Chosen joints move together; the neck takes the whole figure along.
   * `alone`: only this joint, whatever becomes of its limbs.
   */
  move(joint, x, y, alone = false) {
    const pose = copy(this.pose);
    const target = this.inside([x, y]);
    if (pose[joint][2] <= 0) pose[joint] = [...this.place(joint), 1];
    const grouped = this.chosen.size > 1 && this.chosen.has(joint);
    if (alone) pose[joint].splice(0, 2, ...target);
    else if (grouped || joint === this.neck) {
      const joints = grouped ? [...this.chosen] : this.below(this.neck);
      this.shift(pose, joints, x - pose[joint][0], y - pose[joint][1]);
    } else if (this.rigid) this.moveRigid(pose, joint, target);
    else pose[joint].splice(0, 2, ...target);
    this.show(pose);
  }

  /** Move the whole figure so that the middle of its hips comes to (x, y), within a gesture. */
  moveFigure(x, y) {
    const pose = copy(this.pose);
    const [fromX, fromY] = this.centre();
    this.shift(pose, this.below(this.neck), x - fromX, y - fromY);
    this.show(pose);
  }

  /** Scale and turn (radians, clockwise) some joints about `centre`, within a gesture: from where they began. */
  transform(joints, [cx, cy], factor, angle) {
    const pose = copy(this.pose);
    const most = this.mostFactor(joints, angle);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)].map((value) => value * Math.min(factor, most));
    for (const joint of joints) {
      const [dx, dy] = [this.before[joint][0] - cx, this.before[joint][1] - cy];
      pose[joint].splice(0, 2, cx + cos * dx - sin * dy, cy + sin * dx + cos * dy);
    }
    this.shift(pose, joints, 0, 0);
    this.show(pose);
  }

  /** How large the turned joints may become before they no longer fit into the picture. */
  mostFactor(joints, angle) {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const sides = [
      ([x, y]) => cos * x - sin * y,
      ([x, y]) => sin * x + cos * y,
    ].map((along) => {
      const values = joints.map((joint) => along(this.before[joint]));
      return Math.max(...values) - Math.min(...values);
    });
    return (this.size - 1) / Math.max(...sides, 1e-6);
  }

  /** The rectangle around some joints: left, top, right, bottom. */
  bounds(joints) {
    const places = joints.map((joint) => this.place(joint));
    const [x, y] = [0, 1].map((k) => places.map((place) => place[k]));
    return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
  }

  /** Scale or turn the chosen joints, or the whole figure, about their middle by one step. */
  change(factor, angle, kind) {
    const joints = this.group();
    if (!joints.length) return;
    const [left, top, right, bottom] = this.bounds(joints);
    this.begin();
    this.transform(joints, [(left + right) / 2, (top + bottom) / 2], factor, angle);
    this.finish(kind);
  }

  /** The same with limbs that keep the lengths which they had when the gesture began. */
  moveRigid(pose, joint, target) {
    const middle = this.parent[joint];
    const root = this.parent[middle];
    const present = (index) => index !== undefined && pose[index][2] > 0;
    if (/wrist|ankle/.test(this.names[joint]) && present(middle) && present(root)) {
      this.bend(pose, root, middle, joint, target);
      return;
    }
    let [x, y] = target;
    if (present(middle)) {
      const length = this.length(middle, joint);
      const angle = Math.atan2(y - pose[middle][1], x - pose[middle][0]);
      [x, y] = [pose[middle][0] + length * Math.cos(angle), pose[middle][1] + length * Math.sin(angle)];
    }
    this.shift(pose, this.below(joint), x - pose[joint][0], y - pose[joint][1]);
  }

  length(a, b) {
    const from = this.before ?? this.pose;
    const known = from[a][2] > 0 && from[b][2] > 0 ? from : this.pose;
    return Math.hypot(known[a][0] - known[b][0], known[a][1] - known[b][1]);
  }

  /** An arm or a leg reaches for the target: two bones of fixed length from a fixed root (law of cosines). */
  bend(pose, root, middle, end, target) {
    const upper = this.length(root, middle);
    const lower = this.length(middle, end);
    const [x, y] = [target[0] - pose[root][0], target[1] - pose[root][1]];
    const reach = Math.min(Math.max(Math.hypot(x, y), Math.abs(upper - lower), 1e-6), upper + lower);
    const angle = Math.atan2(y, x);
    const cosine = (upper ** 2 + reach ** 2 - lower ** 2) / (2 * upper * reach || 1);
    const [mx, my] = [pose[middle][0] - pose[root][0], pose[middle][1] - pose[root][1]];
    const [ex, ey] = [pose[end][0] - pose[root][0], pose[end][1] - pose[root][1]];
    const side = ex * my - ey * mx < 0 ? -1 : 1; // the elbow stays on its side
    const turned = angle + side * Math.acos(Math.min(Math.max(cosine, -1), 1));
    const at = (radius, direction) =>
      this.inside([pose[root][0] + radius * Math.cos(direction), pose[root][1] + radius * Math.sin(direction)]);
    pose[middle].splice(0, 2, ...at(upper, turned));
    pose[end].splice(0, 2, ...at(reach, angle));
  }

  /** Move some joints together, no further than the edge of the picture; those that are missing go along unseen. */
  shift(pose, joints, dx, dy) {
    const moved = joints.filter((joint) => pose[joint][2] > 0).map((joint) => pose[joint]);
    if (!moved.length) return;
    const unseen = joints.filter((joint) => pose[joint][2] <= 0 && this.remembered[joint]);
    for (const joint of unseen) this.remembered[joint] = [...this.remembered[joint]];
    [dx, dy].forEach((distance, axis) => {
      const lowest = Math.min(...moved.map((row) => row[axis]));
      const highest = Math.max(...moved.map((row) => row[axis]));
      const allowed = Math.min(Math.max(distance, -lowest), this.size - 1 - highest);
      for (const row of moved) row[axis] += allowed;
      for (const joint of unseen) this.remembered[joint][axis] += allowed;
    });
  }

  /** The format of OpenPose, which posegen reads; the canvas is the picture that the places are counted in. */
  toJSON() {
    const people = this.pose.some((row) => row[2] > 0)
      ? [{ person_id: [-1], pose_keypoints_2d: this.pose.flat() }]
      : [];
    return { version: 1.3, people, canvas_width: this.size, canvas_height: this.size };
  }
}
