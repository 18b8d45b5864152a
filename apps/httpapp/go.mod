module gotap/apps/httpapp

go 1.18
