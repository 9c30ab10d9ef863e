// matrix-js-sdk from the packages in JS_MODULES, silent.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The SDK asks for Node 22; this is what Node 20 lacks of it.
Promise.withResolvers ??= function () {
    const parts = {};
    parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }));
    return parts;
};

const require = createRequire(`${process.env.JS_MODULES}/package.json`);
export const sdk = await import(pathToFileURL(require.resolve("matrix-js-sdk")).href);
const { logger } = await import(pathToFileURL(require.resolve("matrix-js-sdk/lib/logger.js")).href);
logger.disableAll?.();
for (const level of ["debug", "info", "log", "warn", "trace"]) console[level] = () => {};

export const logIn = (baseUrl, user, password) =>
    sdk.createClient({ baseUrl }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
        initial_device_display_name: "js-sdk",
    });

export const prepared = (client) =>
    new Promise((resolve) =>
        client.on(sdk.ClientEvent.Sync, (state) => state === "PREPARED" && resolve()),
    );
