// A real client: turns key backup on and off again as Element Web does, and reads the preference.
//
// usage: client.mjs BASE_URL USER PASSWORD, with the packages of package.json in JS_MODULES.
// Prints one JSON object: what each step saw.
import { logIn, prepared, sdk } from "./sdk.mjs";

const STABLE = "m.key_backup";
const UNSTABLE = "m.org.matrix.custom.backup_disabled";
const [baseUrl, user, password] = process.argv.slice(2);
const seen = {};

const login = await logIn(baseUrl, user, password);
seen.user_id = login.user_id;
seen.device_id = login.device_id;

let secretStorageKey;
const client = sdk.createClient({
    baseUrl,
    accessToken: login.access_token,
    userId: login.user_id,
    deviceId: login.device_id,
    cryptoCallbacks: {
        cacheSecretStorageKey: (id, _info, key) => (secretStorageKey = [id, key]),
        getSecretStorageKey: async () => secretStorageKey,
    },
});
await client.initRustCrypto({ useIndexedDB: false });
await client.startClient({ initialSyncLimit: 1, pollTimeout: 2000 });
await prepared(client);
const crypto = client.getCrypto();

// A client that syncs reads from memory; this one never does, so that it has to ask.
const reader = sdk.createClient({ baseUrl, accessToken: login.access_token, userId: login.user_id });
const read = async () => [
    await reader.getAccountDataFromServer(STABLE),
    await reader.getAccountDataFromServer(UNSTABLE),
];

// Nothing is set yet.
seen.before = await read();

// On: the backup first, the preference last.
await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: (makeRequest) =>
        makeRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: login.user_id },
            password,
        }),
});
await crypto.bootstrapSecretStorage({
    createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(),
    setupNewKeyBackup: true,
});
await crypto.checkKeyBackupAndEnable();
seen.backup_on = (await crypto.getKeyBackupInfo())?.version ?? null;
await client.setAccountData(STABLE, { enabled: true });
await client.setAccountData(UNSTABLE, { disabled: false });
seen.on = await read();

// A client with a bug.
seen.refused = await client.setAccountData(STABLE, { enabled: "yes" }).then(
    () => null,
    (error) => ({ status: error.httpStatus, errcode: error.errcode, error: error.data?.error }),
);

// Off: backup, secrets and dehydrated device go first, then the preference is written.
await crypto.disableKeyStorage();
await client.setAccountData(UNSTABLE, { disabled: true });
await client.setAccountData(STABLE, { enabled: false });
seen.backup_off = (await crypto.getKeyBackupInfo())?.version ?? null;
seen.off = await read();
// What came by /sync, without a request of its own.
seen.synced = [
    client.getAccountData(STABLE)?.getContent(),
    client.getAccountData(UNSTABLE)?.getContent(),
];

client.stopClient();
process.stdout.write(JSON.stringify(seen));
process.exit(0);
