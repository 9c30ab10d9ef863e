// A real client's day: a room, messages, media, a second device, and out.
//
// usage: rooms.mjs BASE_URL USER PASSWORD, with the packages of package.json in JS_MODULES.
// Prints one JSON object: what each step saw, without what differs from run to run.
import { createHash } from "node:crypto";

import { logIn, prepared, sdk } from "./sdk.mjs";

const [baseUrl, user, password] = process.argv.slice(2);
const seen = {};

const login = await logIn(baseUrl, user, password);
const client = sdk.createClient({
    baseUrl,
    accessToken: login.access_token,
    userId: login.user_id,
    deviceId: login.device_id,
});
seen.versions = await client.getVersions();
seen.flows = await client.loginFlows();
seen.capabilities = await client.getCapabilities();

const syncing = prepared(client);
await client.startClient({ initialSyncLimit: 10, pollTimeout: 3000 });
await syncing;

// The text of a message that has come back by /sync: until then it is only our own echo.
const arrives = async (id) => {
    for (;;) {
        const event = client.getRoom(room)?.findEventById(id);
        if (event?.status === null) return event.getContent().body;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
};

const { room_id: room } = await client.createRoom({ name: "Ünïcode ☃", topic: "x".repeat(2000) });
const { event_id: first } = await client.sendTextMessage(room, "Grüße, שלום, 👋");
seen.first = await arrives(first);
const { event_id: second } = await client.sendTextMessage(room, "y".repeat(30_000));
seen.second = (await arrives(second)).length;
await client.redactEvent(room, first);
seen.name = (await client.getStateEvent(room, "m.room.name", "")).name;
seen.history = (await client.createMessagesRequest(room, null, 50, "b")).chunk
    .map((event) => event.type)
    .sort();

await client.setDisplayName("Alice ✨");
seen.profile = await client.getProfileInfo(login.user_id);
await client.setRoomTag(room, "m.favourite", { order: 0.5 });
seen.tags = await client.getRoomTags(room);
await client.setRoomAccountData(room, "org.example.note", { text: "in the room" });
await client.setAccountData("org.example.note", { text: "everywhere" });
seen.note = await client.getAccountDataFromServer("org.example.note");

const media = new Uint8Array(300_000).map((_, at) => (at * 7919) >> 3);
const uploaded = await client.uploadContent(new Blob([media]), {
    name: "ein schönes bild.bin",
    type: "application/octet-stream",
});
const url = client.mxcUrlToHttp(uploaded.content_uri, undefined, undefined, undefined, true, true, true);
const download = await fetch(url, { headers: { Authorization: `Bearer ${login.access_token}` } });
const back = new Uint8Array(await download.arrayBuffer());
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
seen.media = [download.status, back.length, digest(back) === digest(media)];

seen.room_error = await client.joinRoom("!nowhere:localhost").then(
    () => null,
    (error) => [error.httpStatus, error.errcode],
);
seen.devices = (await client.getDevices()).devices.map((device) => device.display_name).sort();
client.stopClient();
await client.logout(true);
seen.out = await client.whoami().then(
    () => null,
    (error) => [error.httpStatus, error.errcode],
);

process.stdout.write(JSON.stringify(seen));
process.exit(0);
