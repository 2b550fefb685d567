<?php
// The notes board's own functions: the database, and what the pages share.

declare(strict_types=1);

const STATE = '/var/lib/notes';

function site_name(): string
{
    $settings = json_decode((string) file_get_contents('/etc/notes/notes.json'), true);
    return $settings['site_name'] ?? 'Notes';
}

function database(): PDO
{
    $database = new PDO('sqlite:' . STATE . '/notes.sqlite', options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $database->exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000');
    $database->exec('CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY, written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        text TEXT NOT NULL, attachment TEXT)');
    return $database;
}

function text_of(mixed $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** Keeps an uploaded file under a name nobody chose, and returns the name people see. */
function keep_attachment(array $upload, int $note): ?string
{
    if ($upload['error'] === UPLOAD_ERR_NO_FILE) {
        return null;
    }
    if ($upload['error'] !== UPLOAD_ERR_OK) {
        throw new RuntimeException('The attachment is larger than ' . ini_get('upload_max_filesize') . 'iB.');
    }
    @mkdir(STATE . '/attachments', 0750);
    if (!move_uploaded_file($upload['tmp_name'], STATE . "/attachments/$note")) {
        throw new RuntimeException('The attachment could not be kept.');
    }
    return basename($upload['name']);
}

function add_note(string $text, ?array $upload): void
{
    $text = trim($text);
    if ($text === '') {
        throw new RuntimeException('A note needs some text.');
    }
    $database = database();
    $database->beginTransaction();
    $database->prepare('INSERT INTO notes (text) VALUES (?)')->execute([shortened($text, 2000)]);
    $note = (int) $database->lastInsertId();
    if ($upload !== null && ($name = keep_attachment($upload, $note)) !== null) {
        $database->prepare('UPDATE notes SET attachment = ? WHERE id = ?')->execute([$name, $note]);
    }
    $database->commit();
}

/** Shortens a text without cutting a character, and without an extension that the image would need for it. */
function shortened(string $text, int $bytes): string
{
    return preg_match('/^.{0,' . $bytes . '}/us', substr($text, 0, $bytes * 4), $match) ? $match[0] : '';
}
