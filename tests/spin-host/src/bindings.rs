//! Spin's interfaces, from the WIT files of its SDK.

#![allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]

wasmtime::component::bindgen!({
    inline: "
        package authly:spin-host;

        world spin {
            import spin:postgres/postgres@4.2.0;
            import spin:variables/variables@3.0.0;
        }
    ",
    path: ["wit/postgres.wit", "wit/variables.wit"],
    imports: { default: async | trappable },
    with: {
        "spin:postgres/postgres.connection": crate::postgres::Connection,
        "spin:postgres/postgres.connection-builder": crate::postgres::ConnectionBuilder,
    },
});
