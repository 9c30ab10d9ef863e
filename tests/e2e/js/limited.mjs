// A client that writes more often than it may.
//
// usage: limited.mjs BASE_URL USER PASSWORD, with the packages of package.json in JS_MODULES.
// Prints one JSON object: what became of each write, and whether the client is still logged in.
import { logIn, prepared, sdk } from "./sdk.mjs";

const STABLE = "m.key_backup";
const [baseUrl, user, password] = process.argv.slice(2);

const login = await logIn(baseUrl, user, password);
const client = sdk.createClient({
    baseUrl,
    accessToken: login.access_token,
    userId: login.user_id,
    deviceId: login.device_id,
});
const syncing = prepared(client);
await client.startClient({ initialSyncLimit: 1, pollTimeout: 2000 });
await syncing;

const writes = [];
for (const enabled of [true, false, true]) {
    writes.push(
        await client.setAccountData(STABLE, { enabled }).then(
            () => 200,
            (error) => ({
                status: error.httpStatus,
                errcode: error.errcode,
                is_limit: error.isRateLimitError(),
                retry_after_ms: error.getRetryAfterMs(),
            }),
        ),
    );
}
const { user_id } = await client.whoami();

client.stopClient();
process.stdout.write(JSON.stringify({ writes, user_id }));
process.exit(0);
