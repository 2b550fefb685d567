<?php
// Healthy means that a note could be kept: the database opens, and takes a write.
declare(strict_types=1);
require __DIR__ . '/../notes.php';

header('Content-Type: text/plain');
try {
    $database = database();
    $database->beginTransaction();
    $database->exec("INSERT INTO notes (text) VALUES ('health')");
    $database->rollBack();
    echo "ok\n";
} catch (PDOException $error) {
    http_response_code(503);
    echo 'notes can not be kept: ', $error->getMessage(), "\n";
}
