<?php
declare(strict_types=1);
require __DIR__ . '/../notes.php';

$note = filter_input(INPUT_GET, 'note', FILTER_VALIDATE_INT);
$query = database()->prepare('SELECT attachment FROM notes WHERE id = ?');
$query->execute([$note]);
$name = $query->fetchColumn();
$path = STATE . "/attachments/$note";
if ($note === null || $note === false || !is_string($name) || !is_file($path)) {
    http_response_code(404);
    exit('There is no such attachment.');
}
// Always a download, never a page of this site: attachments come from anybody.
header('Content-Type: application/octet-stream');
header("Content-Disposition: attachment; filename*=UTF-8''" . rawurlencode($name));
readfile($path);
