module github.com/clarionlb/clarion/test

go 1.26.0

replace github.com/clarionlb/clarion => ../
