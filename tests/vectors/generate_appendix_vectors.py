#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes appendix.json: what the algorithms in the appendices "Implicit Binary Search Tree" and
"Binary Ladder" of draft-ietf-keytrans-protocol give, computed here from their definitions and
with none of the C++ code. Run it in this folder; the output does not change from run to run."""

import json
import random


# --- the implicit binary search tree, by its inductive definition ------------------------------

def subtree_root(first, end):
    """Root of the search tree over the entries first..end-1: 2^floor(log2(n)) - 1, offset."""
    count = end - first
    return first + (1 << (count.bit_length() - 1)) - 1


def children(entry, size):
    """(left, right) of an entry, None where there is no child."""
    first, end = 0, size
    while True:
        root = subtree_root(first, end)
        if entry == root:
            left = subtree_root(first, root) if root > first else None
            right = subtree_root(root + 1, end) if root + 1 < end else None
            return left, right
        if entry < root:
            end = root
        else:
            first = root + 1


def path_from_root(entry, size):
    first, end, path = 0, size, []
    while True:
        root = subtree_root(first, end)
        if entry == root:
            return path
        path.append(root)
        if entry < root:
            end = root
        else:
            first = root + 1


def frontier(size):
    out, first = [], 0
    while first < size:
        out.append(subtree_root(first, size))
        first = out[-1] + 1
    return out


# --- binary ladders ----------------------------------------------------------------------------

END = 1 << 32  # versions from here on are not looked up, as if they had been shown not to exist


def base_ladder(greatest):
    """Lookups that establish `greatest` (None: no version exists) as the greatest version."""
    greatest = -1 if greatest is None else greatest
    lookups, k = [], 0
    while True:
        version = (1 << k) - 1
        lookups.append(version)
        if version > greatest:
            break
        k += 1
    low, high = ((1 << (k - 1)) - 1 if k > 0 else -1), (1 << k) - 1
    while high - low > 1:
        middle = (low + high) // 2
        lookups.append(middle)
        if middle <= greatest and middle < END:
            low = middle
        else:
            high = middle
    return [version for version in lookups if version < END]


def search_ladder(target, greatest, left_inclusion=(), right_non_inclusion=()):
    lookups = []
    for version in base_ladder(greatest):
        exists = greatest is not None and version <= greatest
        if not (version in left_inclusion or version in right_non_inclusion):
            lookups.append(version)
        if exists != (version <= target):
            break
    return lookups


def monitoring_ladder(target):
    return [version for version in base_ladder(target) if version <= target]


# --- vectors -----------------------------------------------------------------------------------

def main():
    rng = random.Random(20250701)
    trees = []
    for size in list(range(1, 34)) + [63, 64, 65]:
        trees.append({
            "size": size,
            "frontier": frontier(size),
            "children": [[-1 if c is None else c for c in children(x, size)] for x in range(size)],
        })
    large = []
    sizes = [1 << 40, (1 << 40) - 1, (1 << 40) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1]
    sizes += [rng.randrange(1, 1 << rng.randrange(8, 41)) for _ in range(40)]
    for size in sizes:
        entries = [0, size - 1] + [rng.randrange(size) for _ in range(4)]
        large.append({
            "size": size,
            "frontier": frontier(size),
            "entries": [{"entry": x,
                         "path": path_from_root(x, size),
                         "children": [-1 if c is None else c for c in children(x, size)]}
                        for x in entries],
        })

    greatest = list(range(0, 70)) + [END - 1, END - 2, END - 3, 1 << 31, (1 << 31) - 1,
                                     (1 << 31) + 1]
    greatest += [rng.randrange(1 << rng.randrange(7, 33)) for _ in range(40)]
    base = [{"greatest": n, "versions": base_ladder(n)} for n in greatest]
    monitoring = [{"target": t, "versions": monitoring_ladder(t)} for t in greatest]

    search = []

    def add_search(target, n, left=(), right=()):
        search.append({"target": target, "greatest": -1 if n is None else n,
                       "left_inclusion": sorted(left), "right_non_inclusion": sorted(right),
                       "versions": search_ladder(target, n, left, right)})

    for target in range(0, 27):
        for n in [None] + list(range(0, 27)):
            add_search(target, n)
    for edge in [END - 1, END - 2, 1 << 31, (1 << 31) - 1]:
        for n in [None, 0, 1, edge - 1, edge, min(edge + 1, END - 1), END - 1]:
            add_search(edge, n)
    for _ in range(300):
        bits = rng.randrange(1, 33)
        target = rng.randrange(1 << bits)
        n = rng.choice([target, target, rng.randrange(1 << bits), None])
        ladder = base_ladder(target) + base_ladder(n)
        exists = [v for v in ladder if n is not None and v <= n]
        missing = [v for v in ladder if n is None or v > n]
        add_search(target, n, {v for v in exists if rng.random() < 0.5},
                   {v for v in missing if rng.random() < 0.5})

    with open("appendix.json", "w", encoding="ascii") as out:
        groups = {"trees": trees, "large_trees": large, "base_ladders": base,
                  "monitoring_ladders": monitoring, "search_ladders": search}
        out.write("{\n")
        for i, (name, rows) in enumerate(groups.items()):
            out.write(f'"{name}": [\n')
            out.write(",\n".join(json.dumps(row, separators=(",", ":")) for row in rows))
            out.write("\n]" + (",\n" if i + 1 < len(groups) else "\n"))
        out.write("}\n")


if __name__ == "__main__":
    main()
