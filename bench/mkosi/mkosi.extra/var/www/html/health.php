<?php
// What examples/lamp checks: the database opens, and takes a write.
header('Content-Type: text/plain');
$database = new PDO('sqlite:/var/lib/notes/notes.sqlite', null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$database->exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
$database->beginTransaction();
$database->exec("INSERT INTO notes (text) VALUES ('health')");
$database->rollBack();
echo "ok\n";
