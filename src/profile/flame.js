"use strict";

// Nodes come as [name, depth, width, change] in the order of a walk from the root; a node's
// children follow it, one level deeper.
const data = JSON.parse(document.getElementById("data").textContent);
const ROW = 20;
const LEAST = 2; // pixels: what is narrower is not drawn
const FEW = 8; // where all are narrower, so many are drawn nevertheless
const FEW_WIDTH = 12;

const $ = (id) => document.getElementById(id);
const graph = $("graph");

const nodes = [];
const path = [];
for (let i = 0; i < data.nodes.length; i += 4) {
    const [name, depth, width, change] = data.nodes.slice(i, i + 4);
    const parent = depth > 0 ? path[depth - 1] : null;
    const node = { name: data.names[name], depth, width, change, parent, children: [], from: 0 };
    if (parent) {
        const last = parent.children[parent.children.length - 1];
        node.from = last ? last.from + last.width : parent.from;
        parent.children.push(node);
    }
    path[depth] = node;
    nodes.push(node);
}
const root = nodes[0];

let zoomed = root;
let current = root;
let wanted = "";

function amount(value) {
    const size = Math.abs(value);
    if (data.unit === "bytes") {
        const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        const step = Math.min(Math.max(Math.floor(Math.log2(Math.max(size, 1)) / 10), 0), 5);
        const scaled = size / 1024 ** step;
        return `${step && scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)} ${units[step]}`;
    }
    return `${Math.round(size).toLocaleString("en")}${data.unit ? " " + data.unit : ""}`;
}

function signed(value) {
    return (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + amount(value);
}

function said(node) {
    const share = root.width > 0 ? ((100 * node.width) / root.width).toFixed(1) : "0";
    if (data.diff) {
        return `${signed(node.change)} ${node.name}, ${share} % of all that changed`;
    }
    return `${node.name}: ${amount(node.width)}, ${share} %`;
}

function hueOf(name) {
    let hash = 0;
    for (let i = 0; i < name.length; i++) {
        hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
    }
    return 8 + (hash % 48);
}

function kindOf(node) {
    if (!data.diff) {
        return ["plain"];
    }
    if (node.change === 0) {
        return ["even"];
    }
    const kinds = [node.change > 0 ? "grew" : "shrank"];
    if (Math.abs(node.change) < node.width / 3) {
        kinds.push("faint"); // what grew and what shrank nearly even out
    }
    return kinds;
}

function matches(node) {
    return node.name.toLowerCase().includes(wanted);
}

function show(node) {
    $("detail").textContent = node ? said(node) : "";
}

function draw(node, left, width, above) {
    const element = document.createElement("div");
    element.className = "frame";
    element.classList.add(...kindOf(node));
    if (above) {
        element.classList.add("above");
    }
    if (wanted) {
        element.classList.add(matches(node) ? "found" : "missed");
    }
    element.style.left = `${left}px`;
    element.style.width = `${width}px`;
    element.style.top = `${node.depth * ROW}px`;
    element.style.setProperty("--hue", hueOf(node.name));
    if (width > 24) {
        const mark = data.diff ? `${signed(node.change)} ` : "";
        element.textContent = mark + node.name;
    }
    element.tabIndex = node === current ? 0 : -1;
    element.setAttribute("role", "treeitem");
    element.setAttribute("aria-level", node.depth + 1);
    element.setAttribute("aria-label", said(node));
    element.node = node;
    node.element = element;
    graph.append(element);
    return node.depth;
}

/** The children that are drawn, and where. Of many below a wide one that are all too narrow the
 *  widest few are, wider than they are: else there was nothing to see, and no way there. */
function placed({ node, left, width, few }, pixels, scale) {
    const wide = [];
    for (const child of node.children) { // from the widest on
        if (child.width * scale < LEAST) {
            break;
        }
        const from = (child.from - zoomed.from) * scale;
        wide.push({ node: child, left: from, width: child.width * scale, few: false });
    }
    if (wide.length > 0 || (!few && width < pixels / 4)) {
        return wide;
    }
    const each = Math.min(FEW_WIDTH, width);
    return node.children.slice(0, Math.min(FEW, Math.floor(width / each)))
        .map((child, i) => ({ node: child, left: left + i * each, width: each, few: true }));
}

function drawAll() {
    const pixels = graph.clientWidth;
    const scale = zoomed.width > 0 ? pixels / zoomed.width : 0;
    let deepest = 0;

    for (const node of nodes) {
        node.element = null;
    }
    graph.replaceChildren();
    for (let node = zoomed.parent; node; node = node.parent) {
        draw(node, 0, pixels, true);
    }
    const todo = [{ node: zoomed, left: 0, width: pixels, few: false }];
    while (todo.length > 0) {
        const next = todo.pop();
        deepest = Math.max(deepest, draw(next.node, next.left, next.width, false));
        todo.push(...placed(next, pixels, scale).reverse());
    }
    graph.style.height = `${(deepest + 1) * ROW}px`;
    $("reset").disabled = zoomed === root;
}

function zoom(node) {
    const focused = graph.contains(document.activeElement);
    zoomed = current = node;
    drawAll();
    show(node);
    if (focused) {
        node.element.focus();
    }
}

function move(node) {
    if (!node || !node.element) {
        return;
    }
    if (current.element) {
        current.element.tabIndex = -1;
    }
    current = node;
    node.element.tabIndex = 0;
    node.element.focus();
    show(node);
}

function sibling(node, step) {
    const all = node.parent ? node.parent.children : [node];
    return all[all.indexOf(node) + step];
}

function search(text) {
    wanted = text.trim().toLowerCase();
    let sum = 0;
    let count = 0;
    let until = 0;
    for (const node of nodes) {
        if (wanted && matches(node)) {
            count++;
            if (node.from >= until) { // inside of a match it is counted already
                sum += node.width;
                until = node.from + node.width;
            }
        }
    }
    const share = root.width > 0 ? ((100 * sum) / root.width).toFixed(1) : "0";
    $("found").textContent = wanted ? `${count} frames, ${share} %` : "";
    drawAll();
}

const keys = {
    ArrowUp: () => move(current.parent),
    ArrowDown: () => move(current.children[0]),
    ArrowLeft: () => move(sibling(current, -1)),
    ArrowRight: () => move(sibling(current, 1)),
    Home: () => move(zoomed),
    Enter: () => zoom(current),
    " ": () => zoom(current),
};

graph.addEventListener("keydown", (event) => {
    if (keys[event.key]) {
        event.preventDefault();
        keys[event.key]();
    }
});
graph.addEventListener("click", (event) => {
    if (event.target.node) {
        current = event.target.node;
        zoom(event.target.node);
    }
});
graph.addEventListener("mouseover", (event) => {
    if (event.target.node) {
        show(event.target.node);
    }
});
graph.addEventListener("mouseleave", () => show(current));
$("search").addEventListener("input", (event) => search(event.target.value));
$("reset").addEventListener("click", () => zoom(root));
document.addEventListener("keydown", (event) => {
    const inSearch = event.target === $("search");
    if (event.key === "/" && !inSearch) {
        event.preventDefault();
        $("search").focus();
    } else if (event.key === "Escape" && inSearch && wanted) {
        $("search").value = "";
        search("");
    } else if (event.key === "Escape" && zoomed !== root) {
        zoom(zoomed.parent);
    }
});
addEventListener("resize", drawAll);

function legend(kind, words) {
    const entry = document.createElement("span");
    const sample = document.createElement("i");
    sample.className = kind;
    entry.append(sample, words);
    $("legend").append(entry);
}

function fillTable() {
    const body = $("top").tBodies[0];
    for (const [name, flat, cum] of data.top) {
        const row = body.insertRow();
        row.insertCell().textContent = data.diff ? signed(flat) : amount(flat);
        row.insertCell().textContent = data.diff ? signed(cum) : amount(cum);
        const cell = row.insertCell();
        const button = document.createElement("button");
        cell.className = "name";
        button.type = "button";
        button.textContent = name;
        button.addEventListener("click", () => {
            $("search").value = name;
            search(name);
            scrollTo(0, 0);
        });
        cell.append(button);
    }
}

function begin() {
    const left = data.left > 0
        ? ` ${data.left.toLocaleString("en")} frames too small to be seen are left out.` : "";
    const few = " Where all are too narrow to be seen, the first few are drawn wider than they are.";

    document.title = data.title;
    $("title").textContent = data.title;
    if (data.diff) {
        $("about").textContent = `Growth of ${data.type}: ${signed(root.change)} in all. ` +
            `A frame is as wide as what changed in it, grown or shrunk (${amount(root.width)}).` +
            few + left;
        legend("grew", "+ grew");
        legend("shrank", "\u2212 shrank");
        legend("even", "\u00b1 evened out");
    } else {
        $("about").textContent = `${data.type}: ${amount(root.width)}. A frame is as wide as what ` +
            `it and what it called hold.` + few + left;
    }
    fillTable();
    drawAll();
    show(root);
}

begin();
