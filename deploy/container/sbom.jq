# `cargo metadata` in, a CycloneDX document out. See sbom.sh, which gives $built, $checksums and $target.

def key: "\(.name)@\(.version)";
def purl: "pkg:cargo/\(key)";
def lines: split("\n")[] | select(. != "");
def is_program: .name == "authly" or .name == "authly-admin";

# An SPDX expression; older crates separate licences by a slash.
def licenses: if .license then { licenses: [{ expression: (.license | gsub(" */ *"; " OR ")) }] } else {} end;

([$built | lines | { key: ., value: true }] | from_entries) as $is_built
| ([$checksums | lines | split(" ") | { key: .[0], value: .[1] }] | from_entries) as $sha256
| def hashes: $sha256[key] as $sum | if $sum then { hashes: [{ alg: "SHA-256", content: $sum }] } else {} end;
(.packages | map(select($is_built[key])) | sort_by(key)) as $parts
| ($parts | map({ key: .id, value: purl }) | from_entries) as $purl
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
        component: {
            "bom-ref": "image", type: "application", name: "authly",
            version: ($parts[] | select(.name == "authly") | .version),
            properties: [{ name: "target", value: $target }]
        }
    },
    components: [
        $parts[]
        | { "bom-ref": purl, purl: purl, name, version, type: (if is_program then "application" else "library" end) }
            + licenses + hashes
    ],
    dependencies: [
        { ref: "image", dependsOn: [$parts[] | select(is_program) | purl] },
        # Edges that are only for tests lead to nothing that is shipped.
        (.resolve.nodes[] | select($purl[.id])
            | { ref: $purl[.id], dependsOn: ([.deps[] | select(any(.dep_kinds[]; .kind != "dev")) | $purl[.pkg] | values] | unique) })
    ]
}
